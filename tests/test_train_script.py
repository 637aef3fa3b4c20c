"""train_image_classifier.py: what it prints, what it writes, what it learns."""

import csv
import dataclasses
import functools
import json
import re
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

import classify_image
import eval_image_classifier
from datasets.records import tfrecord
from engine import train
from engine.config import flags as parsing
from engine.config import scripts as configs
from engine.config.tasks import get_task
from engine.resolve.training import training
from engine.training import schedules
from tests import builders, golden

pytestmark = pytest.mark.usefixtures('workplace')


@pytest.fixture
def flags(colours):
  """The flags of a short training on the colours."""
  return builders.fast(colours)


def rows(path):
  with open(path, newline='') as file:
    return list(csv.DictReader(file))


def test_first_lines_say_what_is_trained(digits_run):
  lines = digits_run.out.splitlines()
  first = ' '.join(lines[:3])
  weights = sum(
    value.size
    for name, value in builders.tensors(digits_run.folder).items()
    if name.rsplit('/')[-1] in ('weights', 'biases', 'gamma', 'beta')
  )
  assert digits_run.status == 0 and digits_run.err == ''
  for fact in (
    'resnet_v2_tiny',
    'digits',
    'split train',
    '1,437 examples',
    '10 classes',
    '6 steps of 16 images of 32x32',
    '(0.0668 epochs)',
    f'({weights:,} parameters)',
    str(digits_run.folder),
  ):
    assert fact in first


def test_lines_of_the_steps(digits_run):
  lines = re.findall(
    r'^step (\d) of 6: loss (\d+\.\d{4}), accuracy [\d.]+%, learning rate '
    r'0\.0\d+, [\d.]+ images/s, \d+% of the time waiting for data, '
    r'0:\d\d left$',
    digits_run.out,
    re.MULTILINE,
  )
  written = rows(digits_run.folder / 'metrics.csv')
  assert [line[0] for line in lines] == ['2', '4', '6']
  assert [row['step'] for row in written] == ['2', '4', '6']
  for (_, loss), row in zip(lines, written, strict=True):
    assert float(loss) == pytest.approx(float(row['loss']), abs=6e-5)
    assert float(row['total_loss']) > float(row['loss']) > 0
    assert 0 <= float(row['accuracy']) <= 1
    assert float(row['images_per_second']) > 0


def test_config_is_complete(digits_run):
  config = json.loads((digits_run.folder / 'config.json').read_text())
  fields = {
    field.name
    for field in dataclasses.fields(configs.TrainConfig)
    if field.metadata['kept']
  }
  assert not fields & {'verbosity', 'resume'}
  assert set(config) == fields | {
    'num_classes',
    'class_names',
    'data',
    'replicas',
  }
  assert not fields & {'num_clones', 'worker_hosts', 'task_index'}
  assert config['replicas'] == 1 and config['global_batch_size'] is None
  for name in (
    'dataset_name',
    'eval_split_name',
    'train_dir',
    'preprocessing_name',
    'train_image_size',
    'batch_size',
    'max_number_of_steps',
    'learning_rate',
    'learning_rate_decay_type',
    'num_epochs_per_decay',
  ):
    assert config[name] is not None, name
  assert config['batch_size'] == 16  # the flag, not the dataset's 128
  assert config['learning_rate_decay_type'] == 'polynomial'  # the dataset's
  assert config['class_names'][7] == 'seven'


def test_checkpoint_has_slims_names(digits_run):
  found = builders.tensors(digits_run.folder)
  assert int(found['global_step']) == 6
  scope = 'resnet_v2_tiny'
  unit = f'{scope}/block2/unit_1/bottleneck_v2'
  model = {
    f'{scope}/conv1/weights',
    f'{scope}/conv1/biases',
    f'{unit}/preact/gamma',
    f'{unit}/preact/moving_variance',
    f'{unit}/conv2/BatchNorm/beta',
    f'{unit}/conv3/biases',
    f'{scope}/postnorm/moving_mean',
    f'{scope}/logits/weights',
  }
  assert model <= set(found)
  golden_names = {
    v['name'] if isinstance(v, dict) else v[0]
    for v in golden.variables('resnet_v2_50')
  }
  assert {name.replace('_tiny', '_50') for name in model} <= golden_names
  slots = {name for name in found if name.endswith('/Momentum')}
  assert f'{unit}/conv3/weights/Momentum' in slots


@pytest.mark.slow
def test_options_of_the_network(flags, workplace):
  """They are kept with the run, and what contradicts them is refused."""
  flags.update(model_name='cifar_residual_8', train_image_size=16)
  printed = builders.train(**flags, root_block='3x3', shortcut='B')
  assert printed.status == 0, printed.err
  config = json.loads((workplace / 'run/config.json').read_text())
  assert (config['root_block'], config['shortcut']) == ('3x3', 'B')
  builders.refused(
    builders.train(**flags),
    'was begun with root_block=3x3, not cifar; shortcut=B, not A:',
  )
  builders.colour_image(0, 0).save('a.png')
  for script, arguments in (
    (eval_image_classifier, ()),
    (classify_image, ('a.png',)),
  ):
    call = functools.partial(
      builders.call, script, *arguments, checkpoint_path='run'
    )
    assert call().status == 0
    builders.refused(
      call(shortcut='A'),
      '--shortcut=A contradicts the run, which '
      'was trained with shortcut=B: leave the flag out.',
    )
    builders.refused(call(root_block='7x7'), '--root_block=7x7 contradicts')
  # Without config.json the checkpoint tells.
  (workplace / 'run/config.json').unlink()
  call = functools.partial(call, model_name='cifar_residual_8')
  assert call(eval_image_size=16).status == 0
  builders.refused(
    call(root_block='cifar'),
    'is of cifar_residual_8 (its root is 3x3, the '
    "network's cifar): pass --model_name=cifar_residual_8 --root_block=3x3",
  )


@pytest.mark.parametrize(
  'more, words',
  [
    ({'shortcut': 'A'}, ('--shortcut=A: resnet_v1_tiny has no such option',)),
    (
      {'root_block': '5x5'},
      ('--root_block=5x5 is unknown', '7x7, 7x7_symmetric'),
    ),
  ],
)
def test_options_that_a_network_does_not_take(flags, workplace, more, words):
  builders.refused(
    builders.train(**{**flags, 'dataset_dir': 'nowhere'}, **more), *words
  )
  assert not (workplace / 'run').exists()


def test_images_and_tables_of_the_evaluation(digits_run):
  metrics = json.loads((digits_run.folder / 'eval/eval.json').read_text())
  assert metrics['examples'] == 360 and metrics['step'] == 6
  assert metrics['dataset'] == 'digits' and metrics['split'] == 'test'
  assert f'accuracy {metrics["accuracy"]:.2%}, ' in digits_run.out
  for name in ('curves.png', 'eval/confusion_matrix.png'):
    with Image.open(digits_run.folder / name) as image:
      image.load()  # reads it to its end
      assert image.format == 'PNG' and np.asarray(image).std() > 5
    assert name.rsplit('/')[-1] in digits_run.out
  table = rows(digits_run.folder / 'eval/per_class.csv')
  assert [row['name'] for row in table][:3] == ['zero', 'one', 'two']
  assert sum(int(row['examples']) for row in table) == 360


def test_tensorboard(digits_run):
  (path,) = digits_run.folder.glob('events.out.tfevents.*')
  scalars, images, histograms = {}, set(), {}
  for event in tf.train.summary_iterator(str(path)):
    for value in event.summary.value:
      if value.HasField('simple_value'):
        scalars[value.tag] = value.simple_value
      elif value.HasField('image'):
        images.add((value.image.height, value.image.width))
      elif value.HasField('histo'):
        histograms[value.tag] = value.histo
  kernel = histograms['weights/resnet_v2_tiny/conv1/weights']
  assert kernel.num == 7 * 7 * 3 * 64
  assert {'loss', 'total_loss', 'accuracy', 'learning_rate'} <= set(scalars)
  assert all(map(np.isfinite, scalars.values()))
  assert images == {(32, 32)}


def test_it_learns(colours_run):
  metrics = json.loads((colours_run.folder / 'eval/eval.json').read_text())
  assert metrics['accuracy'] > 0.9
  statistics = metrics['batch_statistics']
  assert abs(statistics['accuracy'] - metrics['accuracy']) <= 0.02
  assert 'moving statistics cost' not in colours_run.out


@pytest.mark.slow
def test_the_batch_norm_trap_is_told(colours):
  """Without recalibration, the same weights look like chance."""
  flags = {
    **builders.learn(colours),
    'max_number_of_steps': 20,
    'model_name': 'resnet_v2_tiny',
  }
  printed = builders.train(
    **flags, recalibrate_batch_norm_batches=0, batch_norm_decay=0.9999
  )
  assert printed.status == 0
  assert "note: batch norm's moving statistics cost" in printed.out
  assert '--recalibrate_batch_norm_batches' in printed.out
  assert 'Recalibrating' not in printed.out
  with open('run/eval/eval.json') as file:
    metrics = json.load(file)
  assert metrics['accuracy'] < 0.7
  assert metrics['batch_statistics']['accuracy'] > 0.9


# What a schedule is told, and the learning rate of the second step.
SCHEDULES = {
  'fixed': ({}, 0.01),
  'exponential': (
    {
      'num_epochs_per_decay': 0.1,  # one step
      'learning_rate_decay_factor': 0.5,
    },
    0.005,
  ),
  'polynomial': (
    {'num_epochs_per_decay': 0.1, 'end_learning_rate': 0.002},
    0.002,
  ),
  'cosine': ({'end_learning_rate': 0.002}, 0.006),
  'piecewise': (
    {'learning_rate_boundaries': '1', 'learning_rate_factors': '0.3'},
    0.003,
  ),
}


@pytest.mark.parametrize('schedule', SCHEDULES)
def test_schedules(schedule, flags, graph):
  """By the flags as the script takes them."""
  more, second = SCHEDULES[schedule]
  given = {
    **flags,
    'learning_rate': 0.01,
    'learning_rate_decay_type': schedule,
    **more,
  }
  config, others = parsing.parse(
    configs.TrainConfig, ['x', *(f'--{k}={v}' for k, v in given.items())]
  )
  assert others == []
  config, dataset = training(config)
  step = tf.placeholder(tf.int64, [])
  rate = schedules.build(config, dataset.num_samples, step)
  with tf.Session() as session:
    assert [
      float(session.run(rate, {step: number})) for number in (0, 1)
    ] == pytest.approx([0.01, second])


@pytest.mark.slow
@pytest.mark.usefixtures('unevaluated')
def test_an_optimizer_and_a_schedule(flags):
  """Those of the steps; every optimizer's are in test_optimizers."""
  schedule = 'cosine'
  more, second = SCHEDULES[schedule]
  printed = builders.train(
    **flags,
    optimizer='adamw',
    learning_rate=0.01,
    learning_rate_decay_type=schedule,
    recalibrate_batch_norm_batches=0,
    **more,
  )
  assert printed.status == 0, printed.err
  written = rows('run/metrics.csv')
  assert all(np.isfinite(float(row['loss'])) for row in written)
  assert [float(row['learning_rate']) for row in written] == pytest.approx(
    [0.01, second]
  )
  found = builders.tensors('run')
  kernel = found['resnet_v1_tiny/logits/weights']
  assert np.isfinite(kernel).all() and kernel.std() > 0
  assert 'resnet_v1_tiny/logits/weights/m' in found or any(
    'Adam' in name for name in found
  )


def test_all_schedules_are_tested():
  assert SCHEDULES.keys() == schedules.SCHEDULES.keys()


@pytest.mark.slow
@pytest.mark.usefixtures('uncompared')
def test_labels_offset_and_use_grayscale(flags, workplace):
  data = builders.write_colours(workplace / 'data', labels=(1, 2, 3, 4))
  printed = builders.train(
    **{**flags, 'dataset_dir': data}, labels_offset=1, use_grayscale=True
  )
  assert printed.status == 0, printed.err
  assert 'in 4 classes' in printed.out
  found = builders.tensors('run')
  assert found['resnet_v1_tiny/logits/biases'].shape == (4,)
  config = json.loads((workplace / 'run/config.json').read_text())
  assert config['class_names'] == ['green', 'blue', 'grey', 'white']
  assert found['resnet_v1_tiny/conv1/weights'].shape == (7, 7, 1, 64)
  assert '23 examples' in printed.out  # it was evaluated on one channel


@pytest.mark.slow
@pytest.mark.usefixtures('uncompared')
def test_evaluation_takes_the_moving_averages(flags):
  """The metrics are those of a checkpoint whose weights are the averages."""
  printed = builders.train(
    **{**flags, 'max_number_of_steps': 4}, moving_average_decay=0.5
  )
  assert printed.status == 0, printed.err
  ending = '/ExponentialMovingAverage'
  values = builders.tensors('run')
  averages = {
    name.removesuffix(ending): value
    for name, value in values.items()
    if name.endswith(ending)
  }
  assert 'resnet_v1_tiny/block1/unit_1/bottleneck_v1/conv1/weights' in averages
  assert any((averages[name] != values[name]).any() for name in averages)
  builders.write_checkpoint('averages.ckpt', averages)
  same = {
    name: flags[name]
    for name in (
      'model_name',
      'dataset_name',
      'dataset_dir',
      'preprocessing_name',
    )
  }
  again = builders.call(
    eval_image_classifier,
    **same,
    eval_image_size=32,
    checkpoint_path='averages.ckpt',
    eval_dir='again',
    compare_batch_statistics=0,
  )
  assert again.status == 0, again.err
  losses = []
  for folder in ('run/eval', 'again'):
    with open(f'{folder}/eval.json') as file:
      losses.append(json.load(file)['loss'])
  assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.slow
def test_batch_norm_is_recalibrated_for_the_moving_averages(colours):
  printed = builders.train(**builders.learn(colours), moving_average_decay=0.9)
  assert printed.status == 0, printed.err
  assert 'moving statistics cost' not in printed.out


@pytest.mark.parametrize(
  'task, name, size',
  [
    ('classification', 'resnet_v2_101', '--train_image_size'),
    ('segmentation', 'resnet_v2_18', '--train_crop_size'),
  ],
)
def test_advice_for_a_cpu(task, name, size, monkeypatch):
  config, task = configs.TrainConfig(model_name=name), get_task(task)
  monkeypatch.setattr(tf.config, 'list_physical_devices', lambda _: [])
  text = train._advice(config, task)
  for part in (f'{size};', '--checkpoint_path'):
    assert part in text
  assert ('--model_name=resnet_v2_18;' in text) == (name == 'resnet_v2_101')
  assert not train._advice(config.replace(checkpoint_path='a.ckpt'), task)
  monkeypatch.setattr(tf.config, 'list_physical_devices', lambda _: ['a'])
  assert not train._advice(config, task)


@pytest.mark.slow
def test_without_data_to_evaluate(colours, workplace):
  """Said in a note; the training is no failure."""
  folder = workplace / 'data'
  shutil.copytree(colours, folder)
  for file in folder.glob('*_validation*'):
    file.unlink()
  printed = builders.train(
    **builders.fast(str(folder)), recalibrate_batch_norm_batches=0
  )
  assert printed.status == 0, printed.err
  assert 'note: no evaluation: There is no file' in printed.out


@pytest.mark.slow
def test_a_start_that_fails_leaves_no_run(flags, workplace):
  """Nor does it overwrite what another has written."""
  folder = workplace / 'run'
  folder.mkdir()
  builders.add_checkpoint(folder, 1, {'other': np.float32(1)})
  printed = builders.train(**flags)
  assert printed.status == 1
  assert not (folder / 'config.json').exists()
  (folder / 'config.json').write_text('{"seed": 0}')
  assert builders.train(**flags).status == 1
  assert (folder / 'config.json').read_text() == '{"seed": 0}'


def test_a_mistyped_split_is_found_before_the_first_step(flags, workplace):
  builders.refused(
    builders.train(**flags, eval_split_name='validatoin'),
    '--eval_split_name=validatoin: ',
    'Did you mean validation?',
  )
  assert not (workplace / 'run').exists()


@pytest.mark.parametrize('name', ['run', 'run/eval', 'run/eval-test'])
def test_a_file_in_the_way_is_found_before_the_first_step(
  flags, workplace, name
):
  own_data(flags, workplace)
  path = workplace / name
  path.parent.mkdir(exist_ok=True)
  path.touch()
  printed = builders.train(**{**flags, 'train_dir': 'run/..//run'})
  builders.refused(printed, 'run', 'folder', '--train_dir')
  assert printed.out == ''


def own_data(flags, workplace):
  """Lets the flags name data with a split for each purpose."""
  folder = workplace / 'data'
  folder.mkdir()
  colours = flags.pop('dataset_dir')
  shutil.copy(f'{colours}/labels.txt', folder)
  for split, examples in (('test', 9), ('train', 20), ('validation', 7)):
    tfrecord.write(
      folder / f'{split}-00000-of-00001.tfrecord',
      [
        builders.colour_example(seed % 5, seed).SerializeToString()
        for seed in range(examples)
      ],
    )
  flags.update(dataset_name='tfrecord', dataset_dir=str(folder))


@pytest.mark.slow
@pytest.mark.usefixtures('uncompared')
def test_the_test_split_is_evaluated_once_at_the_end(flags, workplace):
  own_data(flags, workplace)
  printed = builders.train(**flags, evaluate_every=1)
  assert printed.status == 0, printed.err
  assert 'optimistic' not in printed.out
  assert printed.out.count('split test') == 2
  assert printed.out.index('The curves are in') < printed.out.index(
    'The split test, by which nothing was chosen:'
  )
  found = json.loads((workplace / 'run/eval-test/eval.json').read_text())
  best = json.loads((workplace / 'run/best.json').read_text())
  assert (found['split'], found['examples']) == ('test', 9)
  assert found['checkpoint'] == f'run/{best["best"][0]["checkpoint"]}'
  chosen = json.loads((workplace / 'run/eval/eval.json').read_text())
  assert (chosen['split'], chosen['examples']) == ('validation', 7)
  # Without labels it is left out, in a note.
  example = tf.train.Example.FromString(
    tfrecord.Reader([f'{workplace}/data/test-00000-of-00001.tfrecord']).read(0)
  )
  del example.features.feature['image/class/label']
  tfrecord.write(
    workplace / 'data/test-00000-of-00001.tfrecord',
    [example.SerializeToString()],
  )
  printed = builders.train(**flags, evaluate_every=1)
  assert printed.status == 0, printed.err
  assert 'note: no evaluation on the split test: record 0 of' in printed.out


def test_the_test_split_is_that_of_the_data_given(monkeypatch):
  """They may have moved since the best checkpoint was written."""
  told = []
  monkeypatch.setattr(train, 'evaluate', told.append)
  monkeypatch.setattr(train, 'untouched_split', lambda config: 'test')
  monkeypatch.setattr(train.best, 'find', lambda folder: f'{folder}/best/x')
  config = configs.TrainConfig(train_dir='run', dataset_dir='moved')
  train._test(config, by_best=True)
  (given,) = told
  assert given.checkpoint_path == ('run/best/x',)
  assert (given.dataset_dir, given.dataset_split_name) == ('moved', 'test')


@pytest.mark.slow
@pytest.mark.usefixtures('unevaluated')
def test_choosing_on_the_test_split_is_told(flags, workplace):
  own_data(flags, workplace)
  flags.update(eval_split_name='test', max_number_of_steps=1)
  note = 'note: the best checkpoint is chosen by the split test, so its metrics'
  assert note in builders.train(**flags, evaluate_every=5).out
  flags['train_dir'] = 'other'
  assert note not in builders.train(**flags).out


@pytest.mark.slow
def test_two_datasets_of_one_name(flags, workplace, colours):
  """The second neither goes on with the weights of the first, nor is it."""
  other = builders.write_colours(workplace / 'other/colours', 16, 5)
  del flags['train_dir']
  for folder in (colours, other):
    printed = builders.train(
      **{**flags, 'dataset_dir': folder, 'max_number_of_steps': 1}
    )
    assert printed.status == 0, printed.err
    assert 'Resuming' not in printed.out
  first, second = sorted((workplace / 'runs').iterdir())
  assert 'holds a run of other data' in printed.out and str(second.name) in (
    printed.out
  )
  builders.refused(
    builders.train(**{**flags, 'dataset_dir': other, 'train_dir': first}),
    '80 examples in the split train, not 16: ',
    '--train_dir',
  )
  printed = builders.call(
    eval_image_classifier,
    model_name='resnet_v1_tiny',
    dataset_dir=other,
    dataset_name='flowers',
    compare_batch_statistics=0,
  )
  assert printed.status == 0, printed.err
  assert f'runs/{second.name}/model.ckpt-1' in printed.out
