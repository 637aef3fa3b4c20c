"""Every recipe is a flag file that parses, is explained, and can be followed.
"""
import csv
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import train_image_classifier
from datasets import dataset_factory
from engine import flags, optimizers, schedules, task
from engine.config import TrainConfig
from nets import nets_factory
from tests import fakes

pytest_plugins = ['tests.fakes']

ROOT = pathlib.Path(__file__).parents[1]
RECIPES = sorted((ROOT / 'recipes').glob('*.cfg'))
EXAMPLES = {'digits': 1437, 'digit_scenes': 2000, 'cifar10': 50000,
            'imagenet': 1281167, 'flowers': 3320}  # of the split train
recipes = pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)


def parse(path, *arguments):
  config, others = flags.parse(
      TrainConfig, ['x', f'--flagfile={path}', *arguments])
  assert others == []
  return config


def complete(path):
  """Returns the configuration as the data set would complete it."""
  config = parse(path)
  examples = EXAMPLES[config.dataset_name]
  specification = dataset_factory.registered(config.dataset_name)
  config = task.fill(config, specification.task, specification.suggestions,
                     config.fallbacks())
  if config.num_epochs:
    config = config.replace(max_number_of_steps=-int(
        -config.num_epochs * examples // config.batch_size))
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
  assert len(comment) >= 3 and lines[:len(comment)] == comment
  assert all(line.startswith('--') for line in lines[len(comment):])
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
  names = [line.split('=')[0].removeprefix('--')
           for line in path.read_text().splitlines() if line.startswith('--')]
  assert len(names) == len(set(names))
  assert {'model_name', 'dataset_name', 'optimizer', 'batch_size',
          'learning_rate', 'learning_rate_decay_type', 'weight_decay'
          } <= set(names)


@recipes
def test_it_passes_the_checks(graph, path):
  config, examples = complete(path)
  optimizers.check(config)
  schedules.check(config)
  assert config.batch_size % config.num_micro_batches == 0
  total = config.max_number_of_steps
  found = rates(config, examples, [*range(0, total, total // 50), total])
  # The rate is reached after the warm-up, and only falls from there.
  top = int(np.argmax(found))
  assert max(found) == pytest.approx(config.learning_rate, rel=0.02)
  assert found[:top] == sorted(found[:top])
  assert found[top:] == sorted(found[top:], reverse=True)


@pytest.mark.parametrize('name, expected', [
    # 5,004.56 steps an epoch; 25,023 of warm-up.
    ('imagenet_resnet_v1_50', {
        0: 0, 12512: .1 * 12512 / 25023, 25023: .1, 150136: .1, 150137: .01,
        300272: .01, 300273: .01, 300274: .001, 400365: .0001, 450411: .0001}),
    ('cifar10_resnet_v1_50', {
        0: .01, 200: .055, 400: .1, 31999: .1, 32000: .01, 48000: .001}),
    ('digits_resnet_v2_50', {0: 0, 5: .015, 10: .03, 105: .015, 200: 0}),
    ('flowers_finetune_head', {0: .01, 2999: .01})])
def test_learning_rates(graph, name, expected):
  config, examples = complete(ROOT / f'recipes/{name}.cfg')
  np.testing.assert_allclose(rates(config, examples, expected),
                             list(expected.values()), rtol=1e-6, atol=1e-9)


def test_the_second_phase_follows_the_first():
  first, second = (parse(ROOT / f'recipes/flowers_finetune_{name}.cfg')
                   for name in ('head', 'all'))
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
  config, _ = flags.parse(TrainConfig, ['x', '--batch_size=64',
                                        f'--flagfile={path}'])
  assert config.batch_size == 128


def test_both_kinds_of_comments(tmp_path):
  file = tmp_path / 'own.cfg'
  file.write_text('# one\n// two\n\n  --batch_size=3\n--nouse_grayscale\n'
                  f'--flagfile={ROOT}/recipes/digits_resnet_v2_50.cfg\n')
  assert parse(file).batch_size == 128  # what is read last
  assert parse(file).learning_rate == 0.03


@pytest.mark.parametrize('text, found', [
    ('--learning_rat=0.1\n', "Unknown command line flag 'learning_rat'. Did "
     'you mean: learning_rate'),
    ('--batch_size=many\n', 'flag --batch_size=many'),
    ('--optimizer=larz\n', '--optimizer=larz is unknown. Did you mean lars?'),
    ('--learning_rate_decay_type=piecewise\n', '--learning_rate_boundaries'),
    (None, 'own.cfg')])
def test_mistakes_in_a_file(tmp_path, capsys, text, found):
  """One sentence, from the script itself; None: there is no such file."""
  file = tmp_path / 'own.cfg'
  if text:
    file.write_text(text)
  assert train_image_classifier.main(['x', f'--flagfile={file}']) == 1
  printed = capsys.readouterr()
  assert printed.out == '' and printed.err.count('\n') == 1
  assert printed.err.startswith('error: ') and found in printed.err


def test_a_recipe_trains(workplace, colours, monkeypatch):
  """Two steps of the warm-up of ImageNet's, on other data."""
  monkeypatch.setattr('engine.train._evaluate', lambda *_, **__: None,
                      raising=False)
  fast = fakes.fast(colours)
  del fast['max_number_of_steps']
  printed = fakes.train(
      flagfile=ROOT / 'recipes/imagenet_resnet_v1_50.cfg', **fast,
      num_epochs=0.2, labels_offset=0, recalibrate_batch_norm_batches=0)
  assert printed.status == 0, printed.err
  with open('run/metrics.csv', newline='') as file:
    written = list(csv.DictReader(file))
  # 80 examples in batches of 8: a warm-up of 50 steps.
  assert [float(row['learning_rate']) for row in written] == pytest.approx(
      [0, 0.1 / 50])
