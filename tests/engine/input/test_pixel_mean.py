"""The mean image of a training split: measured, kept, found again."""

import os
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import classify_image
import eval_image_classifier
from datasets import dataset_factory
from datasets.records.examples import Examples
from engine.config import scripts
from engine.input import pixel_mean
from engine.resolve.evaluation import evaluation
from engine.resolve.training import training
from engine.tasks.classification import examples
from tests import builders

FILE = pixel_mean.FILENAME


@pytest.fixture
def flags(workplace, colours):
  """The flags of a short training that needs the mean."""
  return {
    **builders.fast(colours),
    'preprocessing_name': 'keras_cifar',
    'train_image_size': 40,
  }


def images(colours, split='train'):
  """All images of the colours, uint8 [number, 40, 40, 3]."""
  records = Examples(dataset_factory.get_dataset('flowers', split, colours))
  return np.stack([records.example(i).image for i in range(len(records))])


@pytest.fixture(scope='module')
def run(tmp_path_factory, cache_home, colours):
  """The folder of a finished run; for reading."""
  return builders.finished(
    tmp_path_factory.mktemp('runs') / 'mean',
    cache_home,
    {
      **builders.fast(colours),
      'preprocessing_name': 'keras_cifar',
      'train_image_size': 40,
      'max_number_of_steps': 3,
      'evaluate_every': 2,
    },
  )


def test_it_is_numpys(run, colours):
  kept = np.load(run.folder / FILE)
  assert kept.shape == (40, 40, 3) and kept.dtype == np.float32
  np.testing.assert_allclose(kept, images(colours).mean(0) / 255, atol=1e-6)
  np.testing.assert_array_equal(np.load(run.folder / 'best' / FILE), kept)
  assert 'Measuring the mean image of the training split.' in run.out


def test_what_the_network_is_given(run, colours):
  """An evaluated image is in [0, 1], less the mean."""
  kept = pixel_mean.found(
    scripts.EvalConfig(
      task='classification',
      preprocessing_name='keras_cifar',
      use_grayscale=False,
    ),
    str(run.folder / 'model.ckpt-3'),
  )
  assert kept.per_pixel_mean == str(run.folder / FILE)
  first = images(colours, 'validation')[0]
  with tf.Graph().as_default(), tf.Session() as session:
    prepare = examples.for_evaluation(kept)
    got = session.run(prepare(tf.constant(first), 40, 40))
  np.testing.assert_allclose(
    got, first / 255 - np.load(run.folder / FILE), atol=1e-6
  )


@pytest.mark.parametrize('where', ['', '/best'])
def test_evaluation_and_classification_find_it(workplace, run, where):
  shutil.copytree(run.folder, 'copy')
  builders.colour_image(1, 7).save('a.png')
  folder, other = f'copy{where}', '' if where else '/best'
  os.remove(f'copy{other}/{FILE}')

  def classify(**flags):
    return builders.call(
      classify_image, 'a.png', checkpoint_path=folder, **flags
    )

  def evaluate(**flags):
    return builders.call(eval_image_classifier, checkpoint_path=folder, **flags)

  if not where:
    printed = evaluate(scales='0.9,1')
    assert printed.status == 0, printed.err
  config = evaluation(scripts.EvalConfig(checkpoint_path=folder)).config
  assert config.per_pixel_mean == f'{folder}/{FILE}'
  known = classify()
  assert known.status == 0, known.err
  os.rename(f'{folder}/{FILE}', 'mean.npy')
  for printed in evaluate(), classify():
    builders.refused(
      printed,
      f'There is no {folder}/{FILE}, the mean image of the training',
      'copy it',
      'or name it with --per_pixel_mean',
    )
  again = classify(per_pixel_mean='mean.npy')
  assert again.out == known.out


@pytest.mark.slow
@pytest.mark.usefixtures('unevaluated')
def test_a_restart_ends_with_the_same_bits(flags, monkeypatch):
  """It takes the run's own, or measures it again where it was lost."""
  builders.save_every_step(monkeypatch)
  flags['max_number_of_steps'] = 3
  assert builders.train(**{**flags, 'train_dir': 'whole'}).status == 0
  for folder in 'run', 'lost':
    builders.rewind('whole', 2, folder)
    if folder == 'lost':
      os.remove(f'lost/{FILE}')
    again = builders.train(**{**flags, 'train_dir': folder})
    assert again.status == 0, again.err
    assert 'Resuming from' in again.out
    assert ('Measuring' in again.out) == (folder == 'lost')
    assert builders.differing('whole', folder) == []


def opened(resumes=False, **flags):
  """The examples of a training, which keeps its mean image."""
  config, dataset = training(scripts.TrainConfig(**flags))
  os.makedirs(config.train_dir, exist_ok=True)
  return config, examples.open_training(config, dataset, resumes)


def test_a_new_run_does_not_take_what_lies_there(flags):
  os.mkdir('run')
  np.save(f'run/{FILE}', np.zeros((40, 40, 3), np.float32))
  opened(**flags)
  assert np.load(f'run/{FILE}').mean() > 0.1


def test_one_channel_another_size_and_a_cache(graph, flags, colours, capsys):
  flags.update(use_grayscale=True, train_image_size=16, cache='memory')
  config, source = opened(**flags)
  stream = source.training(config.batch_size, config.seed, 0)
  with tf.Session() as session:
    session.run(stream.initializer)
    assert stream.run(session, stream.batch).images.shape == (8, 16, 16, 1)
  assert capsys.readouterr().out.count('Decoding') == 1
  kept = np.load(f'run/{FILE}')
  assert kept.shape == (16, 16, 1)
  grey = images(colours) @ [0.2989, 0.587, 0.114] / 255
  assert kept.mean() == pytest.approx(grey.mean(), abs=2e-3)


def test_the_mean_of_another_run(flags, run):
  """As for fine-tuning; it is kept with the new run."""
  given = np.load(run.folder / FILE) / 2
  np.save('given.npy', given)
  opened(**flags, per_pixel_mean='given.npy')
  np.testing.assert_array_equal(np.load(f'run/{FILE}'), given)
  os.remove('given.npy')  # the run has its own
  for more in {}, {'per_pixel_mean': 'given.npy'}:
    opened(resumes=True, **flags, **more)
    np.testing.assert_array_equal(np.load(f'run/{FILE}'), given)


def test_bad_examples_do_not_count(make_dataset, png):
  dataset = make_dataset([0, 1, 99, 3, 4])  # of 10 classes
  whole = np.arange(5)[:, None, None, None] * np.ones((5, 8, 8, 3))

  def prepare(image, height, width, seed):
    return tf.fill([8, 8, 3], tf.cast(image.pixels()[0, 0, 0], tf.float32))

  source = builders.source(dataset, prepare, 8, skip=1)
  found = pixel_mean.measure(source)
  np.testing.assert_allclose(found, np.delete(whole, 2, 0).mean(0))
  np.testing.assert_array_equal(found, pixel_mean.measure(source))


@pytest.mark.parametrize(
  'flag, words',
  [
    ({'per_pixel_mean': 'nowhere.npy'}, ('There is no nowhere.npy',)),
    ({'per_pixel_mean': 'text.npy'}, ('text.npy is no mean image',)),
    ({'per_pixel_mean': 'zip.npy'}, ('zip.npy is no mean image',)),
    (
      {'per_pixel_mean': 'levels.npy'},
      ('levels.npy is no mean image', 'floats in [0, 1]'),
    ),
    (
      {'per_pixel_mean': 'flat.npy'},
      ('flat.npy is no mean image', '[height, width, channels]'),
    ),
    (
      {'per_pixel_mean': 'flat.npy', 'preprocessing_name': 'cifar'},
      (
        '--per_pixel_mean=flat.npy: the preprocessing cifar subtracts no mean '
        'image. Leave the flag out.',
      ),
    ),
    (
      {'dataset_name': 'digit_scenes', 'per_pixel_mean': 'flat.npy'},
      ('--per_pixel_mean is for classification',),
    ),
  ],
)
def test_what_is_refused(flags, flag, words):
  with open('text.npy', 'w') as file:
    file.write('no image')
  with open('zip.npy', 'w') as file:
    file.write('PK\x03\x04')
  np.save('flat.npy', np.zeros(3))
  np.save('levels.npy', np.full([40, 40, 3], 128.0))
  if 'dataset_name' in flag:
    del flags['dataset_dir'], flags['preprocessing_name']
    del flags['train_image_size']
  builders.refused(builders.train(**{**flags, **flag}), *words)
  assert not os.path.exists('run')
