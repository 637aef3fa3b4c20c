"""Every recipe is a flag file that parses, is explained, and works."""

import csv
import functools
import json
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import train_image_classifier
from datasets import dataset_factory, dataset_utils
from datasets.writing import writer
from engine.config import flags
from engine.config.fields import fill
from engine.config.scripts import TrainConfig
from engine.training import schedules
from nets import nets_factory, resnet_generator
from nets.slim_compat import slim
from tests import builders

ROOT = pathlib.Path(__file__).parents[1]
RECIPES = sorted((ROOT / 'recipes').glob('*.cfg'))
EXAMPLES = {
  'digits': 1437,
  'digit_scenes': 2000,
  'photo_scenes': 600,
  'cifar10': 50000,
  'imagenet': 1281167,
  'flowers': 3320,
  'idenprof': 9000,
  'signs': 1080,
}  # of the split train
recipes = pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)


def parse(path, *arguments):
  config, others = flags.parse(
    TrainConfig, ['x', f'--flagfile={path}', *arguments]
  )
  assert others == []
  return config


def complete(path, *arguments):
  """Returns the configuration as the dataset would complete it."""
  config = parse(path, *arguments)
  examples = EXAMPLES[config.dataset_name]
  specification = dataset_factory.registered(config.dataset_name)
  config = fill(
    config, specification.task, specification.suggestions, config.fallbacks()
  )
  if config.num_epochs:
    config = config.replace(
      max_number_of_steps=-int(
        -config.num_epochs * examples // config.batch_size
      )
    )
  return config, examples


def rates(config, examples, steps):
  """Returns the learning rates at some steps."""
  step = tf.placeholder(tf.int64, [])
  rate = schedules.build(config, examples, step)
  with tf.Session() as session:
    return [float(session.run(rate, {step: value})) for value in steps]


def test_there_are_recipes():
  assert len(RECIPES) == len(list((ROOT / 'recipes').iterdir())) >= 7


@recipes
def test_it_is_explained(path):
  """A comment at the top names the network, the source, the expectation."""
  lines = path.read_text('utf-8').splitlines()
  comment = [line for line in lines if line.startswith('#')]
  assert len(comment) >= 3 and lines[: len(comment)] == comment
  assert all(line.startswith('--') for line in lines[len(comment) :])
  assert max(map(len, lines)) <= 80
  text = ' '.join(line.removeprefix('# ') for line in comment)
  config = parse(path)
  assert config.model_name in text
  assert 'arXiv:' in text or "TF-Slim's" in text
  assert 'Expect' in text or 'Measured' in text
  made = dataset_factory.registered(config.dataset_name).ensure
  assert made or '--dataset_dir' in text


@recipes
def test_it_names_what_there_is(path):
  config = parse(path)
  nets_factory.get_network(config.model_name)
  assert dataset_factory.registered(config.dataset_name)
  assert path.stem.startswith(config.dataset_name)
  if config.zero_init_last_gamma:
    nets_factory.check_zero_init(config.model_name)


@recipes
def test_it_says_nothing_twice(path):
  """Each flag stands once; --optimizer and the schedule always."""
  names = [
    line.split('=')[0].removeprefix('--')
    for line in path.read_text().splitlines()
    if line.startswith('--')
  ]
  assert len(names) == len(set(names))
  assert {
    'model_name',
    'dataset_name',
    'optimizer',
    'batch_size',
    'learning_rate',
    'learning_rate_decay_type',
    'weight_decay',
  } <= set(names)


@recipes
def test_it_passes_the_checks(graph, path):
  config, examples = complete(path)
  # The other checks are made where a configuration is.
  assert config.batch_size % config.num_micro_batches == 0
  total = config.max_number_of_steps
  found = rates(config, examples, [*range(0, total, total // 50), total])
  # The rate is reached after the warm-up, and only falls from there.
  top = int(np.argmax(found))
  factors = config.learning_rate_factors or (1,)
  assert max(found) == pytest.approx(
    config.learning_rate * max(1, *factors), rel=0.02
  )
  assert found[:top] == sorted(found[:top])
  assert found[top:] == sorted(found[top:], reverse=True)


@pytest.mark.parametrize(
  'name, expected',
  [
    # 5,004.56 steps an epoch; 25,023 of warm-up.
    (
      'imagenet_resnet_v1_50',
      {
        0: 0,
        12512: 0.1 * 12512 / 25023,
        25023: 0.1,
        150136: 0.1,
        150137: 0.01,
        300272: 0.01,
        300273: 0.01,
        300274: 0.001,
        400365: 0.0001,
        450411: 0.0001,
      },
    ),
    (
      'cifar10_cifar_residual_110',
      {
        0: 0.01,
        399: 0.01,
        400: 0.1,
        31999: 0.1,
        32000: 0.01,
        47999: 0.01,
        48000: 0.001,
        63999: 0.001,
      },
    ),
    # 1,562.5 steps an epoch.
    (
      'cifar10_keras_resnet_v1_20',
      {
        0: 1e-3,
        124999: 1e-3,
        125000: 1e-4,
        187500: 1e-5,
        250000: 1e-6,
        281249: 1e-6,
        281250: 5e-7,
        312499: 5e-7,
      },
    ),
    # 281.25 steps an epoch.
    (
      'idenprof_resnet_v1_50',
      {
        0: 1e-3,
        22499: 1e-3,
        22500: 1e-4,
        33750: 1e-5,
        45000: 1e-6,
        50625: 1e-7,
      },
    ),
    ('signs_resnet_v1_50', {0: 1.5e-4, 674: 1.5e-4}),
    ('digits_resnet_v2_50', {0: 0, 5: 0.015, 10: 0.03, 105: 0.015, 200: 0}),
    ('flowers_finetune_head', {0: 0.01, 2999: 0.01}),
  ],
)
def test_learning_rates(graph, name, expected):
  config, examples = complete(ROOT / f'recipes/{name}.cfg')
  np.testing.assert_allclose(
    rates(config, examples, expected),
    list(expected.values()),
    rtol=1e-6,
    atol=1e-9,
  )


def test_the_l2_of_the_keras_recipe(graph):
  """Keras's is 0.0001 times the sum of squares, TF-Slim's takes half of it."""
  config = parse(ROOT / 'recipes/cifar10_keras_resnet_v1_20.cfg')
  kernel = np.random.RandomState(0).standard_normal((3, 3, 4, 5))
  loss = slim.l2_regularizer(config.weight_decay)(tf.constant(kernel))
  with tf.Session() as session:
    assert session.run(loss) == pytest.approx(1e-4 * np.square(kernel).sum())


def test_he_without_the_warm_up(graph):
  """The flags that the recipe names for the other depths."""
  path = ROOT / 'recipes/cifar10_cifar_residual_110.cfg'
  others = [
    word.rstrip('.')
    for line in path.read_text().splitlines()
    if line.startswith('#')
    for word in line.split()
    if word.startswith('--learning_rate')
  ]
  found = rates(*complete(path, *others), [0, 31999, 32000, 48000])
  assert found == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_the_second_phase_follows_the_first():
  first, second = (
    parse(ROOT / f'recipes/flowers_finetune_{name}.cfg')
    for name in ('head', 'all')
  )
  assert second.checkpoint_path == first.train_dir != second.train_dir
  assert first.model_name == second.model_name
  assert first.trainable_scopes == first.checkpoint_exclude_scopes
  assert second.trainable_scopes is second.checkpoint_exclude_scopes is None


def test_relative_to_the_project_folder(monkeypatch):
  monkeypatch.chdir(ROOT)
  assert parse('recipes/digits_resnet_v2_50.cfg').batch_size == 128


def test_later_flags_override():
  path = ROOT / 'recipes/digits_resnet_v2_50.cfg'
  assert parse(path, '--batch_size=64').batch_size == 64
  config, _ = flags.parse(
    TrainConfig, ['x', '--batch_size=64', f'--flagfile={path}']
  )
  assert config.batch_size == 128


def test_both_kinds_of_comments(tmp_path):
  file = tmp_path / 'own.cfg'
  file.write_text(
    '# one\n// two\n\n  --batch_size=3\n--nouse_grayscale\n'
    f'--flagfile={ROOT}/recipes/digits_resnet_v2_50.cfg\n'
  )
  assert parse(file).batch_size == 128  # what is read last
  assert parse(file).learning_rate == 0.03


@pytest.mark.parametrize(
  'text, found',
  [
    (
      '--learning_rat=0.1\n',
      'There is no flag --learning_rat. Did you mean --learning_rate or',
    ),
    ('--batch_size=many\n', 'flag --batch_size=many'),
    ('--optimizer=larz\n', '--optimizer=larz is unknown. Did you mean lars?'),
    ('--learning_rate_decay_type=piecewise\n', '--learning_rate_boundaries'),
    (None, 'own.cfg'),
  ],
)
def test_mistakes_in_a_file(tmp_path, capsys, text, found):
  """One sentence, from the script itself; None: there is no such file."""
  file = tmp_path / 'own.cfg'
  if text:
    file.write_text(text)
  assert train_image_classifier.main(['x', f'--flagfile={file}']) == 1
  printed = capsys.readouterr()
  assert printed.out == '' and printed.err.count('\n') == 1
  assert printed.err.startswith('error: ') and found in printed.err


# Images of the right shape, by the dataset: form and side.
IMAGES = {
  'cifar10': ('png', 32),
  'idenprof': ('jpeg', 224),
  'signs': ('png', 64),
  'flowers': ('jpeg', 240),
  'imagenet': ('jpeg', 240),
}
COUNTS = 8, 3  # examples in the split for training, and in the other


def write_data(name):
  """Writes a small dataset to a folder of its name; returns the name."""
  specification = dataset_factory.registered(name)
  form, side = IMAGES[name]
  pathlib.Path(name).mkdir()
  for split, count in zip(specification.splits, COUNTS, strict=True):
    (file,) = writer.shard_names(specification.file_pattern, split, 1)
    dataset_utils.write_tfrecord(
      f'{name}/{file}',
      [
        dataset_utils.image_to_tfexample(
          builders.encode(builders.colour_image(i % 5, i, side), form),
          form.encode(),
          side,
          side,
          i % (specification.num_classes - 1) + 1,
        )
        for i in range(count)
      ],
    )
  return name


@pytest.fixture
def small(workplace, uncompared, monkeypatch):
  """Makes resnet_v1_50 small; returns the flags of two epochs of two steps."""
  monkeypatch.setitem(resnet_generator.UNITS, 50, builders.UNITS['tiny'])
  network = nets_factory.get_network('resnet_v1_50')
  function = functools.partial(network.function, depth_multiplier=1 / 8)
  functools.update_wrapper(function, network.function)
  monkeypatch.setitem(
    nets_factory.NETWORKS, 'resnet_v1_50', network._replace(function=function)
  )
  return {'batch_size': 4, 'max_number_of_steps': 4, 'log_every_n_steps': 1}


def table(path):
  """Returns the rows of a CSV file, numbers as such."""
  with open(path, newline='') as file:
    return [
      {key: float(value) for key, value in row.items() if value}
      for row in csv.DictReader(file)
    ]


def record(path):
  """Returns what a JSON file has."""
  return json.loads(pathlib.Path(path).read_text())


def follow(name, data, **changes):
  """Trains by a recipe, which succeeds; returns its folder, and the rates."""
  path = ROOT / f'recipes/{name}.cfg'
  printed = builders.train(flagfile=path, dataset_dir=data, **changes)
  assert printed.status == 0, printed.err
  run = changes.get('train_dir') or parse(path).train_dir
  evaluated = record(f'{run}/eval/eval.json')
  assert evaluated['examples'] == COUNTS[1] and evaluated['loss'] > 0
  assert 0 <= evaluated['accuracy'] <= 1
  return run, [row['learning_rate'] for row in table(f'{run}/metrics.csv')]


@pytest.mark.slow
@pytest.mark.parametrize(
  'name, model, shape, rates',
  [
    ('cifar10_keras_resnet_v1_20', 'cifar_resnet_v1_8', (10, 32), [1e-3] * 4),
    ('cifar10_cifar_residual_110', 'cifar_residual_8', (10, 32), [0.01] * 4),
    ('idenprof_resnet_v1_50', 'resnet_v1_50', (10, 224), [1e-3] * 4),
    ('signs_resnet_v1_50', 'resnet_v1_50', (6, 64), [1.5e-4] * 4),
    # A warm-up of 10 steps.
    (
      'imagenet_resnet_v1_50',
      'resnet_v1_50',
      (1001, 224),
      [0, 0.01, 0.02, 0.03],
    ),
  ],
)
def test_it_trains(small, name, model, shape, rates):
  data = write_data(name.partition('_')[0])
  run, found = follow(
    name,
    data,
    **small,
    model_name=model,
    train_dir='run',
    recalibrate_batch_norm_batches=0,
  )
  assert found == pytest.approx(rates)
  config = record(f'{run}/config.json')
  assert (config['num_classes'], config['train_image_size']) == shape
  if config['evaluate_every']:
    found = table(f'{run}/evaluations.csv')
    assert [row['step'] for row in found] == [2, 4]
    best = max(found, key=lambda row: row['accuracy'])
    (kept,) = record(f'{run}/best.json')['best']
    assert (kept['step'], kept['value']) == (best['step'], best['accuracy'])


@pytest.mark.slow
def test_the_second_phase_starts_from_the_first(small):
  """From a released checkpoint, in the folders that the recipes name."""
  data = write_data('flowers')
  builders.write_released(
    pathlib.Path('resnet_v1_50.ckpt'), 'resnet_v1_50', 1000
  )
  first, rates = follow('flowers_finetune_head', data, **small)
  assert rates == pytest.approx([0.01] * 4)
  second, rates = follow('flowers_finetune_all', data, **small, warmup=2)
  assert rates == pytest.approx([0, 0.0005, 0.001, 0.0005])
  logits = {f'resnet_v1_50/logits/{name}' for name in ('weights', 'biases')}
  model = builders.tensors('resnet_v1_50.ckpt').keys()
  assert model & {*builders.differing('resnet_v1_50.ckpt', first)} == logits
  warm = record(f'{second}/warm_start.json')
  assert warm['checkpoint'].startswith(first)
  assert {found['name'] for found in warm['restored']} == model
  changed = {*builders.differing(first, second)}
  assert {name for name in model if name.endswith('weights')} <= changed
