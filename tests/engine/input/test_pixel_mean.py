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

  def call(script, *arguments, **flags):
    return builders.call(script, *arguments, checkpoint_path=folder, **flags)

  printed = call(eval_image_classifier, scales='0.9,1')
  assert printed.status == 0, printed.err
  known = call(classify_image, 'a.png')
  assert known.status == 0, known.err
  os.rename(f'{folder}/{FILE}', 'mean.npy')
  for printed in call(eval_image_classifier), call(classify_image, 'a.png'):
    builders.refused(
      printed,
      f'There is no {folder}/{FILE}, the mean image of the training',
      'copy it',
      'or name it with --per_pixel_mean',
    )
  again = call(classify_image, 'a.png', per_pixel_mean='mean.npy')
  assert again.out == known.out


@pytest.mark.usefixtures('unevaluated')
def test_a_restart_ends_with_the_same_bits(flags):
  """It takes the run's own, or measures it again where it was lost."""
  three = {**flags, 'max_number_of_steps': 3, 'train_dir': 'whole'}
  assert builders.train(**three).status == 0
  assert builders.train(**flags).status == 0
  shutil.copytree('run', 'lost')
  os.remove(f'lost/{FILE}')
  for folder in 'run', 'lost':
    again = builders.train(**{**three, 'train_dir': folder})
    assert again.status == 0, again.err
    assert ('Measuring' in again.out) == (folder == 'lost')
    assert builders.differing('whole', folder) == []


@pytest.mark.usefixtures('unevaluated')
def test_a_new_run_does_not_take_what_lies_there(flags, colours):
  os.mkdir('run')
  np.save(f'run/{FILE}', np.zeros((40, 40, 3), np.float32))
  assert builders.train(**flags).status == 0
  assert np.load(f'run/{FILE}').mean() > 0.1


@pytest.mark.usefixtures('unevaluated')
def test_one_channel_another_size_and_a_cache(flags, colours):
  printed = builders.train(
    '--use_grayscale', **{**flags, 'train_image_size': 16, 'cache': 'memory'}
  )
  assert printed.status == 0, printed.err
  assert printed.out.count('Decoding') == 1
  kept = np.load(f'run/{FILE}')
  assert kept.shape == (16, 16, 1)
  grey = images(colours) @ [0.2989, 0.587, 0.114] / 255
  assert kept.mean() == pytest.approx(grey.mean(), abs=2e-3)


@pytest.mark.usefixtures('unevaluated')
def test_the_mean_of_another_run(flags, run):
  """As for fine-tuning; it is kept with the new run."""
  given = np.load(run.folder / FILE) / 2
  np.save('given.npy', given)
  printed = builders.train(**flags, per_pixel_mean='given.npy')
  assert printed.status == 0, printed.err
  np.testing.assert_array_equal(np.load(f'run/{FILE}'), given)
  os.remove('given.npy')  # the run has its own
  for more in {}, {'per_pixel_mean': 'given.npy'}:
    printed = builders.train(**flags, **more)
    assert printed.status == 0, printed.err
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
