"""eval_image_classifier.py on several checkpoints: a run's, or an ensemble."""

import csv
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import eval_image_classifier
from engine.evaluation import choice as candidates
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')


def evaluate(path, *arguments, **flags):
  printed = builders.call(
    eval_image_classifier, *arguments, checkpoint_path=path, **flags
  )
  assert printed.status == 0, printed.err
  assert printed.err == ''
  return printed


def metrics(path):
  return json.loads(pathlib.Path(path, 'eval.json').read_text())


def rows_of(path):
  with open(path, newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))


@pytest.fixture
def values(digits_run):
  """The values of the network's variables at the end of the run."""
  return {
    name: value
    for name, value in builders.tensors(str(digits_run.folder)).items()
    if name.startswith('resnet_v2_tiny/') and 'Momentum' not in name
  }


def always(digit):
  """Biases by which everything is this digit."""
  return {'logits_biases': 1e3 * np.eye(10, dtype=np.float32)[digit]}


@pytest.fixture
def run(digits_run, values):
  """A copy of the run: step 6, before it 2 and 4, which say 2 and 4."""
  folder = pathlib.Path('run')
  folder.mkdir()
  shutil.copy(digits_run.folder / 'config.json', folder)
  for step in 2, 4:
    builders.add_checkpoint(folder, step, values, **always(step))
  builders.add_checkpoint(folder, 6, values)
  return folder


def share(digit):
  """The share of a digit in the 360 of the test."""
  return {2: 35, 4: 36}[digit] / 360


@pytest.mark.slow
def test_all(run, digits_run):
  printed = evaluate(run, checkpoints='all', batch_size=90)
  rows = rows_of('run/eval/all_checkpoints.csv')
  assert [row['step'] for row in rows] == ['2', '4', '6']
  assert [row['checkpoint'] for row in rows] == [
    f'run/model.ckpt-{step}' for step in (2, 4, 6)
  ]
  found = metrics('run/eval')
  expected = json.loads((digits_run.folder / 'eval/eval.json').read_text())
  assert found['step'] == 6 and found['accuracy'] == expected['accuracy']
  assert found['batch_statistics']['examples'] == 360
  for name, value in found.items():
    if isinstance(value, float):
      assert float(rows[2][name]) == value, name
  assert [float(row['accuracy']) for row in rows[:2]] == [share(2), share(4)]
  for line in (
    'Evaluating 3 checkpoints of run on the 360 examples',
    f'step 2: accuracy {share(2):.2%}, loss',
    f'step 6: accuracy {found["accuracy"]:.2%}, loss',
    'all_checkpoints.csv has the metrics of each',
  ):
    assert printed.out.count(line) == 1, line
  # Those of before the end have statistics that may lag.
  assert [row['recalibrated_batches'] for row in rows] == ['90', '90', '0']
  printed = evaluate(run, max_num_batches=1, compare_batch_statistics=0)
  assert 'Batch norm is measured' not in printed.out


@pytest.mark.slow
def test_the_best(run):
  (run / 'best').mkdir()
  shutil.copy(run / 'config.json', run / 'best')
  for path in run.glob('model.ckpt-4.*'):
    path.rename(run / 'best' / path.name)
  builders.refused(
    builders.call(
      eval_image_classifier, checkpoint_path=run, checkpoints='best'
    ),
    'no best checkpoint in run',
    'train with --evaluate_every',
  )
  (run / 'best.json').write_text(
    json.dumps(
      {
        'metric': 'loss',
        'best': [{'step': 4, 'value': 1.5, 'checkpoint': 'best/model.ckpt-4'}],
      }
    )
  )
  evaluate(run, checkpoints='best')
  found = metrics('run/best/eval')
  assert found['checkpoint'] == 'run/best/model.ckpt-4'
  assert found['accuracy'] == share(4)


@pytest.mark.slow
def test_new_ones(digits_run, values, monkeypatch):
  """The evaluation is there first; it ends with the last step, 6."""

  def begin():
    pathlib.Path('run').mkdir()
    shutil.copy(digits_run.folder / 'config.json', 'run')

  def save(step, **changes):
    return lambda: builders.add_checkpoint('run', step, values, **changes)

  seen = []
  events = iter(
    [
      begin,
      save(2, **always(2)),
      lambda: seen.append(metrics('run/eval')),
      save(4, **always(4)),
      save(6),
    ]
  )
  monkeypatch.setattr(candidates, '_wait', lambda: next(events)())
  printed = evaluate('run', checkpoints='new')
  assert next(events, None) is None
  assert [(row['step'], row['checkpoint']) for row in seen] == [
    (2, 'run/model.ckpt-2')
  ]
  rows = rows_of('run/eval/all_checkpoints.csv')
  assert [float(row['accuracy']) for row in rows] == [
    share(2),
    share(4),
    metrics('run/eval')['accuracy'],
  ]
  assert printed.out.endswith('The run in run is done.\n')


def events(folder):
  """The scalars for TensorBoard: {step: {tag: value}}."""
  found = {}
  for path in pathlib.Path(folder).glob('events.*'):
    for event in tf.train.summary_iterator(str(path)):
      for value in event.summary.value:
        tags = found.setdefault(event.step, {})
        assert value.tag not in tags
        tags[value.tag] = value.simple_value
  return found


@pytest.mark.slow
def test_tensorboard_has_each_once(run):
  for _ in range(2):
    evaluate(run, checkpoints='all', compare_batch_statistics=0)
  rows = rows_of('run/eval/all_checkpoints.csv')
  found = events('run/eval')
  assert sorted(found) == [2, 4, 6]
  for row in rows:
    tags = found[int(row['step'])]
    assert {'evaluation/accuracy', 'evaluation/loss'} <= set(tags)
    for tag, value in tags.items():
      name = tag.removeprefix('evaluation/')
      assert value == pytest.approx(float(row[name]), rel=1e-6), tag


def test_tensorboard_has_the_final_evaluation(digits_run):
  folder = digits_run.folder / 'eval'
  expected = metrics(folder)
  tags = events(folder)[6]
  for name in 'accuracy', 'loss', 'mean_f1', 'top_5_accuracy':
    assert tags[f'evaluation/{name}'] == pytest.approx(expected[name])


# Checkpoints from within a run, in which batch norm's statistics lag.


@pytest.fixture
def behind(colours_run):
  """A run with the weights of its end at step 20, and statistics that lag."""
  end = builders.tensors(str(colours_run.folder))
  lag = {
    name: 0 * value + 4 * name.endswith('moving_variance')
    if '/moving_' in name
    else value
    for name, value in end.items()
  }
  pathlib.Path('run').mkdir()
  shutil.copy(colours_run.folder / 'config.json', 'run')
  builders.add_checkpoint('run', 20, lag)
  builders.add_checkpoint('run', 30, end)
  return pathlib.Path('run')


def configure(run, **changes):
  path = pathlib.Path(run, 'config.json')
  path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def without_training_data(run, colours):
  shutil.copytree(colours, 'data')
  for path in pathlib.Path('data').glob('*train*'):
    path.unlink()
  configure(run, dataset_dir=str(pathlib.Path('data').absolute()))


def lines_of(printed):
  return {line.split(':')[0]: line for line in printed.out.splitlines()}


@pytest.mark.slow
@pytest.mark.parametrize(
  'choice', ['all', pytest.param('new', marks=pytest.mark.slow)]
)
def test_statistics_that_lag_are_measured(behind, choice):
  """On the training's batches, as its own evaluation does it."""
  printed = evaluate(behind, checkpoints=choice)
  assert printed.out.count('Batch norm is measured over 5 batches of ') == 1
  lines = lines_of(printed)
  assert lines['step 20'].startswith('step 20: accuracy 100.00%, loss ')
  assert lines['step 20'].endswith('(batch norm measured over 5 batches)')
  assert lines['step 30'].startswith('step 30: accuracy 100.00%, loss ')
  assert 'measured' not in lines['step 30']
  rows = rows_of('run/eval/all_checkpoints.csv')
  assert [row['recalibrated_batches'] for row in rows] == ['5', '0']
  assert [row['accuracy'] for row in rows] == ['1.0', '1.0']
  assert [row['batch_statistics_accuracy'] for row in rows] == ['1.0', '1.0']
  found = metrics('run/eval')
  assert found['recalibrated_batches'] == 0
  assert found['batch_statistics']['accuracy'] == 1


@pytest.mark.slow
def test_measured_statistics_are_those_of_the_training(colours, uncompared):
  """An evaluation within a training, and one of what it has saved there."""
  with pytest.MonkeyPatch.context() as patch:
    builders.save_every_step(patch)
    flags = {
      **builders.fast(colours),
      'max_number_of_steps': 6,
      'num_micro_batches': 2,
      'moving_average_decay': 0.9,
      'mixup_alpha': 0.2,
      'evaluate_every': 4,
      'recalibrate_batch_norm_batches': 3,
      'keep_best': 2,
    }
    assert builders.train(**flags).status == 0
  expected = rows_of('run/evaluations.csv')[0]
  assert expected['step'] == '4'
  evaluate('run/model.ckpt-4', eval_dir='out')
  found = metrics('out')
  assert found['recalibrated_batches'] == 6
  for name in 'accuracy', 'loss':
    assert found[name] == pytest.approx(float(expected[name]), rel=1e-4), name
  raw = found['raw_weights']['loss']
  assert raw == pytest.approx(float(expected['raw_loss']), rel=1e-4)
  # What best/ has was measured when it was written.
  evaluate('run/best/model.ckpt-4', eval_dir='best')
  assert metrics('best')['recalibrated_batches'] == 0
  assert metrics('best')['loss'] == pytest.approx(found['loss'], rel=1e-4)
  # The checkpoint as it is.
  evaluate(
    'run/model.ckpt-4', eval_dir='as-it-is', recalibrate_batch_norm_batches=0
  )
  assert metrics('as-it-is')['recalibrated_batches'] == 0
  assert abs(metrics('as-it-is')['loss'] - found['loss']) > 1e-3
  assert not pathlib.Path('run/eval/all_checkpoints.csv').exists()


@pytest.mark.slow
def test_without_training_data_both_statistics_are_told(behind, colours):
  without_training_data(behind, colours)
  printed = evaluate(behind, checkpoints='all')
  assert printed.out.count('cannot be measured without the data') == 1
  by_moving, at_end = rows_of('run/eval/all_checkpoints.csv')
  assert by_moving['recalibrated_batches'] == '0'
  assert float(by_moving['accuracy']) < 0.9
  assert by_moving['batch_statistics_accuracy'] == '1.0'
  assert at_end['accuracy'] == at_end['batch_statistics_accuracy'] == '1.0'
  lines = lines_of(printed)
  assert lines['step 20'].startswith(
    f'step 20: accuracy {float(by_moving["accuracy"]):.2%} with batch '
    "norm's moving statistics, 100.00% with those of each batch, loss "
  )
  assert lines['step 30'].startswith('step 30: accuracy 100.00%, loss ')
  # Of one alone the two stand before all else.
  printed = evaluate('run/model.ckpt-20', eval_dir='out')
  lines = printed.out.splitlines()
  told = [i for i, line in enumerate(lines) if 'with those of each' in line]
  headline = [i for i, line in enumerate(lines) if '(23 examples)' in line]
  assert told[0] == headline[0] < headline[1]
  assert metrics('out')['batch_statistics']['accuracy'] == 1


@pytest.mark.slow
def test_statistics_that_are_asked_for(behind, colours):
  flags = {'recalibrate_batch_norm_batches': 3, 'max_num_batches': 1}
  evaluate(behind, **flags)
  assert metrics('run/eval')['recalibrated_batches'] == 3
  assert metrics('run/eval')['accuracy'] == 1
  without_training_data(behind, colours)
  builders.refused(
    builders.call(eval_image_classifier, checkpoint_path=behind, **flags),
    'data',
  )
  (behind / 'config.json').unlink()
  builders.refused(
    builders.call(
      eval_image_classifier,
      checkpoint_path=behind,
      model_name='resnet_v1_tiny',
      dataset_name='flowers',
      dataset_dir=colours,
      **flags,
    ),
    '--recalibrate_batch_norm_batches measures on the training split of a run',
    'leave the flag out',
  )


def test_none_comes():
  printed = evaluate('later', checkpoints='new', timeout_secs=0.01)
  assert 'No new checkpoint in later for 0.01 seconds' in printed.out
  assert not pathlib.Path('later').exists()


@pytest.mark.slow
def test_one_that_is_removed_meanwhile(run, monkeypatch):
  """The run keeps a few checkpoints, and does not wait for us."""

  def step_of(path, step_of=candidates.step_of):
    step = step_of(path)
    if step == 4:  # after this first look at it
      for file in run.glob('model.ckpt-4.*'):
        file.unlink()
    return step

  monkeypatch.setattr(candidates, 'step_of', step_of)
  printed = evaluate(run, checkpoints='new', max_num_batches=1)
  assert [row['step'] for row in rows_of('run/eval/all_checkpoints.csv')] == [
    '2',
    '6',
  ]
  assert 'run/model.ckpt-4 was removed before it was evaluated' in printed.out


@pytest.mark.slow
def test_ctrl_c(run, monkeypatch):
  def interrupt():
    raise KeyboardInterrupt

  (run / 'config.json').write_text(
    (run / 'config.json')
    .read_text()
    .replace('"max_number_of_steps": 6', '"max_number_of_steps": 100')
  )
  monkeypatch.setattr(candidates, '_wait', interrupt)
  printed = builders.call(
    eval_image_classifier,
    checkpoint_path=run,
    checkpoints='new',
    max_num_batches=1,
  )
  assert (printed.status, printed.err) == (130, 'error: interrupted.\n')
  assert len(rows_of('run/eval/all_checkpoints.csv')) == 3


# Ensembles.


@pytest.mark.slow
def test_an_ensemble(run):
  """Its probabilities are the mean of those of its members."""
  for step in 4, 6:
    evaluate(f'run/model.ckpt-{step}', eval_dir=f'alone-{step}')
  printed = evaluate('run/model.ckpt-4,run', batch_size=70)
  found = metrics('run/eval-ensemble')
  assert found['checkpoint'] == 'run/model.ckpt-4,run/model.ckpt-6'
  assert 'step' not in found and found['examples'] == 360
  for member, step in zip(found['members'], (4, 6), strict=True):
    alone = metrics(f'alone-{step}')
    assert (member['step'], member['accuracy']) == (step, alone['accuracy'])
    assert member['loss'] == pytest.approx(alone['loss'], rel=1e-5)
    assert f'run/model.ckpt-{step} (resnet_v2_tiny): accuracy ' in printed.out
  parts = [rows_of(f'alone-{step}/predictions.csv') for step in (4, 6)]
  rows = rows_of('run/eval-ensemble/predictions.csv')
  for row, *members in zip(rows, *parts, strict=True):
    assert row['file'] == members[0]['file'] == members[1]['file']
    assert float(row['label_probability']) == pytest.approx(
      np.mean([float(each['label_probability']) for each in members]), abs=1e-5
    )
  assert {each['predicted'] for each in rows} == {'4'}  # of which one is sure
  assert found['accuracy'] == share(4)


@pytest.mark.slow
def test_an_ensemble_of_different_networks(run):
  """Sizes and recipes are those of each; flags are for all."""
  shutil.copytree(run, 'other')
  path = pathlib.Path('other/config.json')
  path.write_text(
    json.dumps(
      {
        **json.loads(path.read_text()),
        'train_image_size': 24,
        'preprocessing_name': 'inception',
      }
    )
  )
  evaluate('run,other', eval_dir='out', flip=True, max_num_batches=1)
  assert [each['image_size'] for each in metrics('out')['members']] == [32, 24]
  evaluate('run,other', eval_dir='out', eval_image_size=16, max_num_batches=1)
  assert [each['image_size'] for each in metrics('out')['members']] == [16, 16]


def test_an_ensemble_that_does_not_fit(run, colours_run):
  def refused(path, *words, **flags):
    builders.refused(
      builders.call(eval_image_classifier, checkpoint_path=path, **flags),
      *words,
    )

  refused(
    f'run,{colours_run.folder}',
    'model.ckpt-6 and ',
    'model.ckpt-30 ',
    'have 10 and 5 classes',
  )
  refused('run,', 'names nothing between two commas')
  refused('run,none', 'no checkpoint none')
  refused(
    'run,run',
    '--checkpoints=all',
    'names 2',
    'leave one of the flags',
    checkpoints='all',
  )
