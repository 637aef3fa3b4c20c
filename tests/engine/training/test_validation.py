"""Evaluation while training, through the script, on the colours."""

import json
import math
import os
import shutil
import signal

import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

import classify_image
import eval_image_classifier
from engine.config import tasks
from engine.config.scripts import TrainConfig
from engine.evaluation import validator
from engine.training import early_stopping, metrics_log, validation
from tests import builders

METRICS = tasks.TASKS['classification'].metrics


@pytest.fixture(scope='module')
def place(tmp_path_factory, cache_home):
  """A folder for the runs; the tiny networks are there."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('XDG_CACHE_HOME', str(cache_home))
    builders.register_tiny_networks(patch.setitem)
    patch.setattr(
      'engine.evaluation.evaluator.Evaluator._statistics', lambda _: []
    )
    yield tmp_path_factory.mktemp('validation')


@pytest.fixture(scope='module')
def flags(colours):
  """Eight steps, with an evaluation every second one."""
  return {
    **builders.fast(colours),
    'max_number_of_steps': 8,
    'learning_rate': 0.05,
    'evaluate_every': 2,
    'keep_best': 2,
    'best_metric': 'loss',
    'batch_norm_decay': 0.5,
  }


def run(place, name, flags, **more):
  """Trains in a folder of the place; returns what was printed, and it."""
  printed = builders.train(**{**flags, 'train_dir': place / name, **more})
  assert printed.status == 0, printed.err
  printed.folder = place / name
  return printed


@pytest.fixture(scope='module')
def whole(place, flags):
  return run(place, 'whole', flags, recalibrate_batch_norm_batches=0)


def steps_of(rows):
  return [int(row['step']) for row in rows]


def evaluations(folder):
  return early_stopping.read(str(folder))


def best_of(folder):
  return json.loads((folder / 'best.json').read_text())


def test_every_second_step_is_evaluated(whole):
  rows = evaluations(whole.folder)
  assert steps_of(rows) == [2, 4, 6, 8]
  lines = [
    line
    for line in whole.out.splitlines()
    if line.startswith('evaluation at step ')
  ]
  for row, line in zip(rows[:3], lines, strict=True):  # the end has its own
    assert row.keys() == {'step', *METRICS}
    assert line.removesuffix(', the best so far') == (
      f'evaluation at step {row["step"]:.0f}: accuracy '
      f'{row["accuracy"]:.2%}, loss {row["loss"]:.4f}'
    )
  so_far = [
    row['loss'] == min(each['loss'] for each in rows[: i + 1])
    for i, row in enumerate(rows[:3])
  ]
  assert [line.endswith(', the best so far') for line in lines] == so_far


def test_the_last_row_is_the_evaluation_at_the_end(whole):
  metrics = json.loads((whole.folder / 'eval/eval.json').read_text())
  assert evaluations(whole.folder)[-1] == {
    'step': 8,
    **{name: metrics[name] for name in METRICS},
  }


def test_tensorboard_has_the_evaluations(whole):
  found = {}
  for path in whole.folder.glob('events.out.tfevents.*'):
    for event in tf.train.summary_iterator(str(path)):
      for value in event.summary.value:
        if value.tag == 'evaluation/loss':
          found[event.step] = value.simple_value
  assert found == {
    row['step']: pytest.approx(row['loss'], rel=1e-6)
    for row in evaluations(whole.folder)[:3]
  }


def test_best_json(whole):
  rows = sorted(evaluations(whole.folder), key=lambda row: row['loss'])
  assert best_of(whole.folder) == {
    'metric': 'loss',
    'finished': True,
    'best': [
      {
        'step': int(row['step']),
        'value': row['loss'],
        'checkpoint': f'best/model.ckpt-{row["step"]:.0f}',
      }
      for row in rows[:2]
    ],
  }
  assert sorted(
    path.name for path in whole.folder.glob('best/model.ckpt-*.index')
  ) == sorted(f'model.ckpt-{row["step"]:.0f}.index' for row in rows[:2])
  assert (
    f'The best loss was {rows[0]["loss"]:.4f} at step '
    f'{rows[0]["step"]:.0f}; its checkpoint is in '
    f'{whole.folder}/best.'
  ) in whole.out


def test_the_best_folder_is_evaluated_to_its_row(whole, tmp_path):
  """With the same metrics; it says itself what network and data it is of."""
  first = best_of(whole.folder)['best'][0]
  printed = builders.call(
    eval_image_classifier,
    checkpoint_path=whole.folder / 'best',
    eval_dir=tmp_path,
    compare_batch_statistics=0,
  )
  assert printed.status == 0, printed.err
  metrics = json.loads((tmp_path / 'eval.json').read_text())
  (row,) = [
    row for row in evaluations(whole.folder) if row['step'] == first['step']
  ]
  assert row == {name: metrics[name] for name in row}


def test_the_best_folder_classifies(whole, tmp_path, colours):
  """The mean loss of its probabilities is that of the row."""
  path = f'{colours}/flowers_validation_00000-of-00001.tfrecord'
  labels = []
  for i, record in enumerate(tf.io.tf_record_iterator(path)):
    feature = tf.train.Example.FromString(record).features.feature
    file = tmp_path / f'{i:02}.png'
    file.write_bytes(feature['image/encoded'].bytes_list.value[0])
    with Image.open(file) as image:
      assert image.size == (40, 40)
    labels += feature['image/class/label'].int64_list.value
  printed = builders.call(
    classify_image,
    str(tmp_path),
    checkpoint_path=whole.folder / 'best',
    json=True,
  )
  assert printed.status == 0, printed.err
  names, losses, hits = list(builders.COLOURS), [], []
  for line, label in zip(printed.out.splitlines(), labels, strict=True):
    shares = {
      each['name']: each['probability']
      for each in json.loads(line)['predictions']
    }
    losses.append(-math.log(shares[names[label]]))
    hits.append(max(shares, key=shares.get) == names[label])
  (row,) = [
    row
    for row in evaluations(whole.folder)
    if row['step'] == best_of(whole.folder)['best'][0]['step']
  ]
  assert sum(losses) / 23 == pytest.approx(row['loss'], rel=1e-5)
  assert sum(hits) / 23 == row['accuracy']


def test_a_best_checkpoint_is_that_of_its_step(whole):
  """Without what the optimizer keeps."""
  for each in best_of(whole.folder)['best']:
    found = builders.tensors(str(whole.folder / each['checkpoint']))
    kept = builders.tensors(str(whole.folder / f'model.ckpt-{each["step"]}'))
    assert found.keys() == {
      name for name in kept if not name.endswith('/Momentum')
    }
    assert all(
      kept[name].tobytes() == value.tobytes() for name, value in found.items()
    )


def same(one, other):
  """Asserts that two runs evaluated and kept the same, to the bit."""
  for name in ('evaluations.csv', 'best.json'):
    assert (one / name).read_text() == (other / name).read_text(), name
  assert builders.differing(str(one), str(other)) == []
  for each in best_of(one)['best']:
    assert (
      builders.differing(
        str(one / each['checkpoint']), str(other / each['checkpoint'])
      )
      == []
    )


@pytest.mark.slow
def test_more_steps_later(place, flags, whole):
  """The row at the end of the first half is that of the whole, too."""
  flags = {**flags, 'recalibrate_batch_norm_batches': 0}
  half = run(place, 'half', {**flags, 'max_number_of_steps': 4})
  assert steps_of(evaluations(half.folder)) == [2, 4]
  assert best_of(half.folder)['finished']
  rest = run(place, 'half', flags)
  assert 'Resuming from' in rest.out and 'model.ckpt-4, step 4.' in rest.out
  same(half.folder, whole.folder)


@pytest.fixture(scope='module')
def averaged(place, flags):
  """With moving averages, and batch norm's statistics recalibrated."""
  flags = {
    **flags,
    'moving_average_decay': 0.5,
    'evaluate_every': 1,
    'max_number_of_steps': 4,
    'recalibrate_batch_norm_batches': 2,
    'best_metric': 'mean_f1',
  }
  printed = run(place, 'averaged', flags)
  printed.flags = flags
  return printed


@pytest.mark.slow
def test_moving_averages_are_evaluated(averaged):
  rows = evaluations(averaged.folder)
  assert steps_of(rows) == [1, 2, 3, 4]
  for row in rows[:-1]:
    assert (
      f'evaluation at step {row["step"]:.0f}: accuracy '
      f'{row["accuracy"]:.2%}, loss {row["loss"]:.4f}, mean_f1 '
      f'{row["mean_f1"]:.4f} ({row["raw_accuracy"]:.2%} without moving '
      'averages)'
    ) in averaged.out
  assert all(
    math.isfinite(row['raw_loss']) and row['raw_loss'] != row['loss']
    for row in rows
  )
  metrics = json.loads((averaged.folder / 'eval/eval.json').read_text())
  assert metrics['raw_weights'] == {
    'accuracy': rows[-1]['raw_accuracy'],
    'loss': rows[-1]['raw_loss'],
  }


@pytest.mark.slow
def test_the_best_of_moving_averages(averaged, tmp_path):
  """Both are in its checkpoint, with the statistics of their evaluation."""
  first = best_of(averaged.folder)['best'][0]
  printed = builders.call(
    eval_image_classifier,
    checkpoint_path=averaged.folder / 'best',
    eval_dir=tmp_path,
    compare_batch_statistics=0,
  )
  assert printed.status == 0, printed.err
  metrics = json.loads((tmp_path / 'eval.json').read_text())
  (row,) = [
    row for row in evaluations(averaged.folder) if row['step'] == first['step']
  ]
  assert validation.row_of('classification', metrics, metrics['step']) == row


@pytest.mark.slow
def test_stopped_by_sigterm(place, averaged):
  """In the evaluation of step 2, before its row is written."""
  add = early_stopping.Evaluations.add

  def stop(self, row):
    if row['step'] == 2:
      os.kill(os.getpid(), signal.SIGTERM)
    add(self, row)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(early_stopping.Evaluations, 'add', stop)
    with pytest.raises(SystemExit) as stopped:
      builders.train(**{**averaged.flags, 'train_dir': place / 'stopped'})
  assert stopped.value.code == 128 + signal.SIGTERM
  assert not best_of(place / 'stopped')['finished']
  rest = run(place, 'stopped', averaged.flags)
  assert 'Resuming from' in rest.out  # behind step 2, or the next one
  same(rest.folder, averaged.folder)


@pytest.fixture(scope='module')
def idle(place, flags):
  """A rate at which nothing gets better: stops after three more."""
  flags = {
    **flags,
    'learning_rate': 1e-12,
    'evaluate_every': 1,
    'batch_norm_decay': 1,
    'recalibrate_batch_norm_batches': 0,
    'learning_rate_decay_type': 'fixed',
    'best_metric': 'accuracy',
    'early_stopping_patience': 3,
    'plateau_patience': 1,
    'plateau_metric': 'accuracy',
    'plateau_factor': 0.5,
    'plateau_end_learning_rate': 0,
  }
  printed = run(place, 'idle', flags, profile_steps='2,3')
  printed.flags = flags
  return printed


@pytest.mark.slow
def test_early_stopping(idle):
  rows = evaluations(idle.folder)
  assert steps_of(rows) == [1, 2, 3, 4]
  assert len({row['accuracy'] for row in rows}) == 1
  assert (
    f'Stopping: no better accuracy than {rows[0]["accuracy"]:.4f} at '
    'step 1 in 3 evaluations.'
  ) in idle.out
  assert int(builders.tensors(str(idle.folder))['global_step']) == 4
  found = best_of(idle.folder)
  assert found['finished'] and [each['step'] for each in found['best']] == [
    1,
    2,
  ]


def test_a_plateau_lowers_the_learning_rate(idle):
  """From the step after the evaluation on."""
  rates = [
    row['learning_rate'] for row in metrics_log.read_metrics(str(idle.folder))
  ]
  assert rates == pytest.approx([1e-12, 1e-12, 5e-13, 2.5e-13], rel=1e-5, abs=0)
  assert (
    idle.out.count(
      'No better accuracy in 1 evaluations: the learning '
      'rate is multiplied by 0.'
    )
    == 3
  )
  assert 'is multiplied by 0.25 from here on.' in idle.out


@pytest.mark.slow
def test_the_end_of_a_first_part_does_not_count(place, idle):
  """A run resumes as if it had not been stopped: no plateau at step 3.

  The whole run evaluates steps 2, 4 and 6, and its rate falls after step 4.
  What step 3 was like stays, as the best may.
  """
  flags = {**idle.flags, 'evaluate_every': 2, 'early_stopping_patience': 9}
  run(place, 'odd', {**flags, 'max_number_of_steps': 3})
  folder = run(place, 'odd', {**flags, 'max_number_of_steps': 6}).folder
  rates = [
    row['learning_rate'] for row in metrics_log.read_metrics(str(folder))
  ]
  assert steps_of(evaluations(folder)) == [2, 3, 4, 6]
  assert rates == pytest.approx([1e-12] * 4 + [5e-13] * 2, rel=1e-5, abs=0)


def test_a_profile(idle):
  (file,) = idle.folder.glob('plugins/profile/*/*.xplane.pb')
  assert file.stat().st_size > 0
  assert (
    f'A profile of steps 2 to 3 is in {idle.folder}/plugins/profile; '
    in idle.out
  )


@pytest.mark.parametrize(
  'finished', [pytest.param(True, marks=pytest.mark.slow), False]
)
def test_a_run_that_stopped_early_is_over(place, idle, finished):
  """Started again it trains no more, killed before it was finished or not."""
  name = f'idle-{finished}'
  folder = shutil.copytree(idle.folder, place / name)
  found = best_of(folder)
  (folder / 'best.json').write_text(json.dumps({**found, 'finished': finished}))
  again = run(place, name, idle.flags)
  assert (
    f'{folder}/model.ckpt-4 has been trained to the end.' in again.out
  ) == finished
  assert 'images/s' not in again.out and 'step 5' not in again.out
  same(folder, idle.folder)
  assert not list(folder.glob('model.ckpt-5*'))
  assert (folder / 'metrics.csv').read_bytes() == (
    idle.folder / 'metrics.csv'
  ).read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures('workplace', 'uncompared')
def test_every_epoch(flags, workplace, monkeypatch):
  """The graph and the session of the evaluations end with the training."""
  closed, close = [], validator.Validator.close
  monkeypatch.setattr(
    validator.Validator,
    'close',
    lambda self: (closed.append(self), close(self)),
  )
  data = builders.write_colours(workplace / 'data', 24, 12)
  printed = builders.train(
    **{
      **flags,
      'dataset_dir': data,
      'evaluate_every': '1epoch',
      'max_number_of_steps': 5,
      'recalibrate_batch_norm_batches': 0,
    }
  )
  assert printed.status == 0, printed.err
  assert steps_of(evaluations('run')) == [3, 5]
  assert len(closed) == 1


@pytest.mark.usefixtures('workplace')
def test_no_data_to_evaluate_on(flags, workplace, colours):
  data = shutil.copytree(colours, workplace / 'data')
  for file in data.glob('*_validation*'):
    file.unlink()
  printed = builders.train(**{**flags, 'dataset_dir': data})
  builders.refused(
    printed,
    '--evaluate_every needs data to evaluate on: There is no file',
    'flowers_validation*.tfrecord',
  )
  assert 'step 1' not in printed.out


def test_the_configuration_of_the_evaluation():
  """As the run was trained; what is no flag of both comes from its folder."""
  found = validator.eval_config(
    TrainConfig(
      train_dir='run',
      batch_size=7,
      skip_bad_examples=3,
      cache='memory',
      max_image_pixels=99,
      num_preprocessing_threads=2,
    )
  )
  assert (
    found.checkpoint_path,
    found.skip_bad_examples,
    found.cache,
    found.max_image_pixels,
    found.num_preprocessing_threads,
  ) == (('run',), 3, 'memory', 99, 2)
  assert found.batch_size is None and found.dataset_name is None
