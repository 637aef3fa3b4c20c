"""What is worked out from the data, the network, the checkpoint, the run."""

import json
import os
import pathlib
import re
import shutil

import numpy as np
import pytest

import classify_image
import eval_image_classifier
from datasets import dataset_utils
from datasets.records import description, tfrecord
from engine.config import runs, scripts
from engine.resolve import training as resolve_training
from engine.resolve.evaluation import evaluation, with_path
from engine.resolve.places import run_dir
from engine.resolve.training import training, untouched_split
from nets import nets_factory
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
V1 = nets_factory.Released(1000, 40, 1)
V2 = nets_factory.Released(1001, 48, 0)


@pytest.fixture
def released(workplace, monkeypatch):
  """released(version, num_classes): a checkpoint like TF-Slim's."""
  for version, facts in (1, V1), (2, V2):
    name = f'resnet_v{version}_tiny'
    monkeypatch.setitem(
      nets_factory.NETWORKS,
      name,
      nets_factory.NETWORKS[name]._replace(released=facts),
    )

  def write(version, num_classes):
    return builders.write_released(
      workplace / 'released/model.ckpt', f'resnet_v{version}_tiny', num_classes
    )

  return write


@pytest.fixture
def imagenet(workplace):
  """The folder of a few examples with labels of ImageNet, 0 among them not."""
  folder = workplace / 'imagenet'
  folder.mkdir()
  random = np.random.RandomState(0)
  dataset_utils.write_tfrecord(
    folder / 'validation-00000-of-00001',
    (
      dataset_utils.image_to_tfexample(
        builders.encode(builders.colour_image(i % 5, i), 'png'),
        b'png',
        40,
        40,
        random.randint(1, 1001),
      )
      for i in range(6)
    ),
  )
  return str(folder)


def complete(checkpoint, imagenet, version, **flags):
  """The complete configuration of an evaluation on ImageNet."""
  found = evaluation(
    scripts.EvalConfig(
      checkpoint_path=checkpoint,
      model_name=f'resnet_v{version}_tiny',
      dataset_name='imagenet',
      dataset_dir=imagenet,
      **flags,
    )
  )
  assert found.run == {}
  return found.config


@pytest.mark.parametrize(
  'version,facts,recipe', [(1, V1, 'vgg'), (2, V2, 'inception')]
)
def test_a_released_checkpoint(
  released, imagenet, capsys, version, facts, recipe
):
  """It is known by its number of classes, and this is said."""
  checkpoint = released(version, facts.num_classes)
  found = complete(checkpoint, imagenet, version)
  assert (
    found.eval_image_size,
    found.labels_offset,
    found.preprocessing_name,
  ) == (*facts[1:], recipe)
  note = (
    f'note: {checkpoint} has {facts.num_classes:,} classes, as TF-Slim '
    f'released resnet_v{version}_tiny: preprocessing {recipe}, images of '
    f'{facts.image_size}x{facts.image_size}, labels_offset '
    f'{facts.labels_offset}.\n'
  )
  assert capsys.readouterr().out == note
  found = complete(
    checkpoint,
    imagenet,
    version,
    eval_image_size=33,
    labels_offset=2,
    preprocessing_name='cifar',
  )
  assert (
    found.eval_image_size,
    found.labels_offset,
    found.preprocessing_name,
  ) == (33, 2, 'cifar')
  assert capsys.readouterr().out == note.replace(
    f'{facts.image_size}x{facts.image_size}', '33x33'
  ).replace(recipe, 'cifar').replace(
    f'offset {facts.labels_offset}', 'offset 2'
  )


@pytest.mark.parametrize('version,classes', [(1, 1001), (2, 1000), (2, 10)])
def test_another_number_of_classes(
  released, imagenet, capsys, version, classes
):
  found = complete(released(version, classes), imagenet, version)
  assert (found.eval_image_size, found.labels_offset) == (32, 0)
  assert capsys.readouterr().out == ''


def test_a_network_that_was_not_released(workplace, imagenet, capsys):
  checkpoint = builders.write_released(
    workplace / 'a.ckpt', 'resnet_v1_tiny', 1000
  )
  assert complete(checkpoint, imagenet, 1).labels_offset == 0
  assert capsys.readouterr().out == ''


@pytest.mark.slow
@pytest.mark.parametrize('version,facts', [(1, V1), (2, V2)])
def test_a_released_checkpoint_through_the_scripts(
  released, imagenet, workplace, version, facts
):
  checkpoint = released(version, facts.num_classes)
  flags = {
    'checkpoint_path': checkpoint,
    'model_name': f'resnet_v{version}_tiny',
  }
  printed = builders.call(
    eval_image_classifier,
    **flags,
    dataset_name='imagenet',
    dataset_dir=imagenet,
    compare_batch_statistics=0,
  )
  assert printed.status == 0, printed.err
  assert 'as TF-Slim released' in printed.out
  metrics = json.loads(pathlib.Path('released/eval/eval.json').read_text())
  assert (metrics['examples'], metrics['image_size']) == (6, facts.image_size)
  builders.colour_image(0, 0).save('red.png')

  def classify(**options):
    printed = builders.call(
      classify_image, 'red.png', **flags, **options, json=True
    )
    assert printed.status == 0, printed.err
    return json.loads(printed.out)  # nothing but JSON

  size = facts.image_size
  assert classify() == classify(eval_image_size=size)
  assert classify() != classify(eval_image_size=size - 8)
  # TF-Slim's list of labels begins with the background.
  pathlib.Path('labels.txt').write_text(
    ''.join(f'{label}:label {label}\n' for label in range(1001))
  )
  logits, names = (
    [prediction['name'] for prediction in found['predictions']]
    for found in (classify(), classify(labels_file='labels.txt'))
  )
  assert names == [f'label {int(i) + facts.labels_offset}' for i in logits]


def test_fine_tuning_a_released_checkpoint(released, colours, capsys):
  """The size is what it was trained with, unless the flag or the data say."""

  def train(**flags):
    return training(
      scripts.TrainConfig(
        model_name='resnet_v2_tiny',
        dataset_name='flowers',
        dataset_dir=colours,
        train_dir='run',
        **flags,
      )
    )[0]

  checkpoint = released(2, 1001)
  assert train().train_image_size == 32
  assert capsys.readouterr().out == ''
  found = train(checkpoint_path=checkpoint)
  assert (found.train_image_size, found.preprocessing_name) == (48, 'inception')
  assert 'as TF-Slim released resnet_v2_tiny' in capsys.readouterr().out
  assert (
    train(checkpoint_path=checkpoint, train_image_size=33).train_image_size
    == 33
  )
  digits, _ = training(
    scripts.TrainConfig(model_name='resnet_v2_tiny', checkpoint_path=checkpoint)
  )
  assert (digits.train_image_size, digits.preprocessing_name) == (32, 'digits')


def test_a_run_that_is_resumed_needs_no_start(released, colours, capsys):
  """What it took from it is in its config.json."""
  flags = {
    'model_name': 'resnet_v2_tiny',
    'dataset_name': 'flowers',
    'dataset_dir': colours,
    'train_dir': 'run',
    'checkpoint_path': released(2, 1001),
  }
  found, _ = training(scripts.TrainConfig(**flags))
  os.mkdir('run')
  runs.write(found, 'run')
  pathlib.Path('run/model.ckpt-1.index').touch()
  shutil.rmtree('released')
  capsys.readouterr()
  again, _ = training(scripts.TrainConfig(**flags))
  assert again == found and again.train_image_size == 48
  assert capsys.readouterr().out == ''
  flags['train_dir'] = 'other'
  with pytest.raises(ValueError, match='There is no checkpoint .*released'):
    training(scripts.TrainConfig(**flags))


def test_a_training_folder_whose_name_is_a_pattern(workplace):
  """TensorFlow would not find its checkpoints again; a default is none."""
  with pytest.raises(ValueError) as error:
    training(scripts.TrainConfig(train_dir='runs/a[1]'))
  assert str(error.value) == (
    '--train_dir=runs/a[1]: TensorFlow takes [ in the name of a checkpoint for '
    'a pattern, and does not find the file again. Rename the folder, or name '
    'another, without any of * ? [ and \\.'
  )
  assert os.listdir() == []
  assert run_dir('net', 'tfrecord', 'a/b[1]*') == 'runs/net-b_1]_'


# Data that describe themselves.


@pytest.fixture
def described(workplace, colours):
  """described(name): a folder `mine` of the colours, with a dataset.json."""

  def build(name='tfrecord'):
    folder = workplace / 'data/mine'
    shutil.copytree(colours, folder)
    splits = {}
    for split in ('train', 'validation'):
      files = {}
      for path in sorted(folder.glob(f'flowers_{split}_*')):
        count = len(tfrecord.find_records(str(path)).records)
        files[path.name] = tfrecord.Written(count, path.stat().st_size, 0)
      # Their classes do not matter here.
      total = sum(file.records for file in files.values())
      splits[split] = description.Split(files, (total, 0, 0, 0, 0))
    description.write(
      description.Description(
        name, tuple(builders.COLOURS), 3, (40, 40), (40, 40), splits
      ),
      folder,
    )
    return 'data/mine/'

  return build


@pytest.mark.slow
def test_the_folder_alone_is_enough(described):
  """For training, and then for the evaluation of what it wrote."""
  folder = described()
  flags = {'model_name': 'resnet_v1_tiny', 'dataset_dir': folder}
  printed = builders.train(
    **flags,
    batch_size=8,
    max_number_of_steps=1,
    recalibrate_batch_norm_batches=0,
  )
  assert printed.status == 0, printed.err
  run = pathlib.Path('runs/resnet_v1_tiny-mine')
  assert list(pathlib.Path('runs').iterdir()) == [run]
  found = json.loads((run / 'config.json').read_text())
  assert found['dataset_name'] == 'tfrecord'
  assert found['dataset_dir'] == os.path.abspath('data/mine')
  # Of small images: what suits them.
  assert (
    found['preprocessing_name'],
    found['train_image_size'],
    found['eval_split_name'],
  ) == ('cifar', 40, 'validation')
  shutil.rmtree(run / 'eval')
  printed = builders.call(eval_image_classifier, **flags)
  assert printed.status == 0, printed.err
  metrics = json.loads((run / 'eval/eval.json').read_text())
  assert (metrics['dataset'], metrics['examples']) == ('tfrecord', 23)
  assert metrics['checkpoint'] == str(run / 'model.ckpt-1')


def test_the_name_in_the_folder(described):
  """Data that call themselves flowers are flowers, named or not."""
  folder = described('flowers')
  for name in None, 'flowers':
    found, dataset = training(
      scripts.TrainConfig(
        model_name='resnet_v1_tiny', dataset_name=name, dataset_dir=folder
      )
    )
    assert found.dataset_name == dataset.name == 'flowers'
    assert found.train_dir == 'runs/resnet_v1_tiny-flowers'
    assert dataset.num_samples == 80 and dataset.num_classes == 5
  with pytest.raises(
    ValueError,
    match=(
      '--dataset_name=mnist contradicts the data in data/mine/, which are '
      'flowers: leave the flag out'
    ),
  ):
    training(scripts.TrainConfig(dataset_name='mnist', dataset_dir=folder))


def _rate(folder, **flags):
  found, _ = training(
    scripts.TrainConfig(
      model_name='resnet_v1_tiny', dataset_dir=folder, **flags
    )
  )
  return found.learning_rate, found.learning_rate_decay_type


@pytest.mark.parametrize(
  ('flags', 'expected'),
  [
    ({'max_number_of_steps': 20}, (0.05, 'cosine')),
    ({'num_epochs': 3, 'batch_size': 16}, (0.05, 'cosine')),
    ({}, (0.01, 'exponential')),  # trains without end
    ({'num_epochs': 3, 'learning_rate': 1e-5}, (1e-5, 'exponential')),
    ({'num_epochs': 3, 'optimizer': 'adam'}, (0.01, 'exponential')),
    ({'num_epochs': 3, 'num_epochs_per_decay': 1}, (0.01, 'exponential')),
    ({'num_epochs': 3, 'learning_rate_decay_type': 'fixed'}, (0.01, 'fixed')),
  ],
)
def test_annealing(described, flags, expected):
  """A flag that says how a training learns goes on to mean what it did."""
  assert _rate(described('mnist'), **flags) == expected


def test_no_annealing_of_other_data(described):
  assert _rate(described('flowers'), num_epochs=3) == (0.01, 'exponential')


def test_an_old_run_keeps_its_rate(described, workplace):
  """One that was begun before its dataset had an annealing."""
  folder = described('mnist')
  run = 'runs/resnet_v1_tiny-mnist'
  old, _ = training(
    scripts.TrainConfig(
      model_name='resnet_v1_tiny',
      dataset_dir=folder,
      max_number_of_steps=20,
      learning_rate=0.01,
    )
  )
  os.makedirs(run)
  runs.write(old, run)
  found, _ = training(runs.resumed(resume=run, max_number_of_steps=40))
  assert found.learning_rate_decay_type == 'exponential'
  assert found.learning_rate == 0.01 and found.max_number_of_steps == 40


def test_the_default_run_folder():
  for name, folder, run in (
    ('digits', None, 'digits'),
    ('flowers', '/a/b', 'flowers'),
    ('tfrecord', '/a/b', 'b'),
    ('tfrecord', 'b///', 'b'),
    ('tfrecord', 'a/../b/', 'b'),
    ('tfrecord', 'gs://a/b', 'b'),
    ('tfrecord', '.', os.path.basename(os.getcwd())),
  ):
    assert run_dir('net', name, folder) == f'runs/net-{run}'


def test_digits_stay_the_default():
  found, dataset = training(scripts.TrainConfig(model_name='resnet_v2_tiny'))
  assert (found.dataset_name, found.dataset_dir, found.train_dir) == (
    'digits',
    None,
    'runs/resnet_v2_tiny-digits',
  )
  assert dataset.num_samples == 1437
  with pytest.raises(ValueError, match='runs/resnet_v1_tiny-digits'):
    evaluation(scripts.EvalConfig(model_name='resnet_v1_tiny'))


# Which weights are evaluated.


def _averages(run, **flags):
  return evaluation(
    scripts.EvalConfig(checkpoint_path=str(run), **flags)
  ).config.moving_average_decay


def test_moving_averages_of_a_run(colours_run, workplace):
  """They are evaluated where there are any, and no flag says otherwise."""
  run = workplace / 'run'
  run.mkdir()
  found = json.loads((colours_run.folder / 'config.json').read_text())
  (run / 'config.json').write_text(
    json.dumps({**found, 'moving_average_decay': 0.9})
  )
  builders.add_checkpoint(run, 1, {'w': np.float32([1])})
  assert _averages(run) is None
  assert _averages(run, moving_average_decay=0.5) == 0.5
  builders.add_checkpoint(
    run,
    2,
    {'w': np.float32([1]), 'w/ExponentialMovingAverage': np.float32([1])},
  )
  assert _averages(run) == 0.9
  assert _averages(run, moving_average_decay=0.5) == 0.5
  assert _averages(run, raw_weights=True) is None
  assert _averages(run, moving_average_decay=0.0) is None
  with pytest.raises(
    ValueError,
    match=(
      '--raw_weights leaves out the moving averages that '
      '--moving_average_decay=0.5 asks for: leave one of the flags out'
    ),
  ):
    _averages(run, raw_weights=True, moving_average_decay=0.5)


def test_the_default_checkpoint_path():
  for flags, path in (
    ({'model_name': 'net', 'dataset_name': 'mnist'}, ('runs/net-mnist',)),
    ({'model_name': 'net', 'checkpoint_path': 'a,b'}, ('a', 'b')),
  ):
    assert with_path(scripts.EvalConfig(**flags)).checkpoint_path == path
  with pytest.raises(ValueError, match='--checkpoint_path is missing'):
    with_path(scripts.EvalConfig())


# The split to evaluate on.


@pytest.fixture
def splits(workplace, colours):
  """splits(*names): a folder of one's own with these splits."""

  def build(*names):
    folder = workplace / 'data'
    folder.mkdir()
    shutil.copy(f'{colours}/labels.txt', folder)
    for name in names:
      shutil.copy(
        f'{colours}/flowers_validation_00000-of-00001.tfrecord',
        folder / f'{name}-00000-of-00001.tfrecord',
      )
    return folder

  return build


def completed(folder, **flags):
  config, _ = training(
    scripts.TrainConfig(
      model_name='resnet_v1_tiny',
      dataset_dir=str(folder),
      train_dir='run',
      **flags,
    )
  )
  return config


@pytest.mark.parametrize(
  'names, chosen, untouched',
  [
    (('test', 'train', 'validation'), 'validation', 'test'),
    (('test', 'train', 'val'), 'val', 'test'),
    (('train', 'test'), 'test', None),
    (('train', 'validation'), 'validation', None),
    (('train',), 'train', None),
  ],
)
def test_the_best_is_chosen_on_validation(splits, names, chosen, untouched):
  config = completed(splits(*names))
  assert config.eval_split_name == chosen
  assert untouched_split(config) == untouched


@pytest.mark.parametrize(
  'names, split, chosen',
  [
    (('test', 'train', 'validation'), 'train', 'validation'),
    (('test_fine', 'train_fine', 'val_fine'), 'train_fine', 'val_fine'),
    (('train_aug', 'train', 'extra'), 'train', 'extra'),
    (('train_aug', 'train'), 'train', 'train_aug'),
    (('train', 'validation'), 'validation', 'train'),
  ],
)
def test_names_of_splits(names, split, chosen):
  """In whatever order a dataset.json has them."""
  assert resolve_training._other_split(names, split) == chosen


def test_a_test_split_that_is_looked_at(splits):
  folder = splits('train', 'validation', 'test')
  for flags in {'eval_split_name': 'test'}, {'dataset_split_name': 'test'}:
    assert untouched_split(completed(folder, **flags)) is None


def test_a_run_keeps_its_evaluation_split(splits, workplace):
  """Also where another would be chosen today."""
  folder = splits('train', 'validation', 'test')
  (workplace / 'run').mkdir()
  (workplace / 'run/config.json').write_text('{"eval_split_name": "test"}')
  assert completed(folder).eval_split_name == 'validation'
  (workplace / 'run/model.ckpt-3.index').touch()
  assert completed(folder).eval_split_name == 'test'
  flag = completed(folder, eval_split_name='validation')
  assert flag.eval_split_name == 'validation'


def test_a_mistyped_evaluation_split(splits):
  folder = splits('train', 'test')
  with pytest.raises(
    ValueError,
    match=re.escape(
      '--eval_split_name=tset: The dataset tfrecord has no split '
      "'tset'; it has train and test. Did you mean test?"
    ),
  ):
    completed(folder, eval_split_name='tset')


def test_an_evaluation_split_without_files(colours, workplace):
  """Is an error if a flag names it; else a note, when it is wanted."""
  folder = shutil.copytree(colours, workplace / 'data')
  for path in folder.glob('*validation*'):
    path.unlink()
  assert (
    completed(folder, dataset_name='flowers').eval_split_name == 'validation'
  )
  with pytest.raises(
    ValueError, match='^--eval_split_name=validation: There is no file'
  ):
    completed(folder, dataset_name='flowers', eval_split_name='validation')


@pytest.mark.parametrize(
  'flags, words',
  [
    ({'decoder': 'segnet'}, "no decoder named 'segnet'"),
    ({'output_stride': 1}, 'output_stride'),
    ({'decoder': 'fcn', 'atrous_rates': '6,12'}, 'has no atrous rates'),
  ],
)
def test_bad_flags_are_named_before_data_are_made(monkeypatch, flags, words):
  """The scenes of digits take a minute."""
  monkeypatch.setattr(
    'engine.resolve.training.dataset_factory.get_dataset',
    lambda *_: pytest.fail('the data are made'),
  )
  with pytest.raises(ValueError, match=words):
    training(
      scripts.TrainConfig(
        task='segmentation', model_name='resnet_v1_small', **flags
      )
    )
