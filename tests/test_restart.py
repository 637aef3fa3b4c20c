"""A run stopped anywhere and started again ends with the same bits.

By SIGKILL it is stopped in test_kills.py.
"""

import os
import pathlib
import shutil
import signal

import pytest
import tensorflow.compat.v1 as tf

from datasets.records import tfrecord
from engine.training import hooks, resume
from engine.training import metrics_log as records
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace', 'unevaluated')


def six_steps(colours):
  """Flags of six steps, with batch norm's statistics as they leave them."""
  return {
    **builders.fast(colours),
    'max_number_of_steps': 6,
    'learning_rate': 0.05,
    'dropout_rate': 0.25,
    'recalibrate_batch_norm_batches': 0,
  }


@pytest.fixture
def flags(colours):
  return six_steps(colours)


@pytest.fixture(scope='module')
def whole(tmp_path_factory, cache_home, colours):
  """The folder of a run that was not stopped, with all its checkpoints."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr('engine.train._evaluate', lambda config: None)
    builders.save_every_step(patch)
    return builders.finished(
      tmp_path_factory.mktemp('runs') / 'whole',
      cache_home,
      {**six_steps(colours), 'keep_checkpoints': 9},
    ).folder


def steps(folder):
  return [int(row['step']) for row in records.read_metrics(folder)]


def stop_at(monkeypatch, step, stop):
  """Calls `stop` when the line of a step has been printed."""
  line = hooks.Report._line

  def then_stop(report, number, *rest):
    line(report, number, *rest)
    if number == step:
      stop()

  monkeypatch.setattr(hooks.Report, '_line', then_stop)


def test_more_steps_later(flags, whole):
  half = builders.train(**{**flags, 'max_number_of_steps': 3})
  assert half.status == 0 and steps('run') == [1, 2, 3]
  assert 'resnet_v1_tiny/conv1/weights' in builders.differing(whole, 'run')
  rest = builders.train(**flags)
  assert rest.status == 0, rest.err
  assert 'Resuming from run/model.ckpt-3, step 3.' in rest.out
  assert 'step 3 of 6' not in rest.out and 'step 4 of 6' in rest.out
  assert builders.differing(whole, 'run') == []
  assert steps('run') == [1, 2, 3, 4, 5, 6]
  losses = [
    [row['loss'] for row in records.read_metrics(folder)]
    for folder in (whole, 'run')
  ]
  assert losses[0] == losses[1]


@pytest.mark.slow
def test_another_seed_ends_elsewhere(flags, whole):
  """Else the tests here would hold for a training that does nothing."""
  builders.train(**{**flags, 'max_number_of_steps': 1}, seed=1)
  assert len(builders.differing(f'{whole}/model.ckpt-1', 'run')) > 20


@pytest.mark.slow
def test_stop_by_sigterm(flags, monkeypatch):
  """With batch norm recalibrated at the end, from other batches if at all."""
  flags.pop('recalibrate_batch_norm_batches')
  before = signal.getsignal(signal.SIGTERM)
  with monkeypatch.context() as patch:
    stop_at(patch, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
    said = []
    patch.setattr('engine.common.console.say', said.append)
    with pytest.raises(SystemExit) as stopped:
      builders.train(**flags)
  assert stopped.value.code == 128 + signal.SIGTERM
  assert signal.getsignal(signal.SIGTERM) is before
  assert pathlib.Path('run/curves.png').exists()
  step = int(builders.tensors('run')['global_step'])
  assert step in (4, 5)  # the one in progress may have been begun
  assert said[-1] == (
    'Stopped and saved; python train_image_classifier.py --resume=run resumes '
    'from here.'
  )
  rest = builders.train(train_dir='run')
  assert f'step {step}.' in rest.out and 'Recalibrating' in rest.out
  builders.train(**{**flags, 'train_dir': 'whole'})
  assert builders.differing('whole', 'run') == []


@pytest.mark.slow
def test_stop_where_nobody_reads(flags, whole, monkeypatch):
  """As behind `| head`, or `| tee` that was killed."""

  def close():
    raise BrokenPipeError

  with monkeypatch.context() as patch:
    stop_at(patch, 3, close)
    assert builders.train(**flags).status == 141
  assert builders.tensors('run')['global_step'] == 3
  assert builders.train(**flags).status == 0
  assert builders.differing(whole, 'run') == []


@pytest.mark.slow
def test_crash_before_the_first_checkpoint(flags, monkeypatch):
  def fall():
    raise ZeroDivisionError

  with monkeypatch.context() as patch:
    stop_at(patch, 3, fall)
    with pytest.raises(ZeroDivisionError):  # a bug is not explained away
      builders.train(**flags)
  assert tf.train.latest_checkpoint('run') is None
  assert steps('run') == [1, 2, 3]
  again = builders.train(**flags)
  assert again.status == 0
  assert 'run has no checkpoint yet: training begins at step 0.' in again.err
  assert steps('run') == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_mixed_augmented_and_without_a_bad_record(
  flags, workplace, monkeypatch
):
  """What is left out, and how the rest is mixed, does not depend on it."""
  folder = workplace / 'data'
  shutil.copytree(flags['dataset_dir'], folder)
  path = folder / 'flowers_train_00001-of-00002.tfrecord'
  records = list(tf.io.tf_record_iterator(str(path)))
  records[6] = records[6].replace(b'IDAT', b'IDLE')
  tfrecord.write(path, records)
  flags = {
    **flags,
    'dataset_dir': str(folder),
    'batch_size': 24,
    'skip_bad_examples': 1,
    'mixup_alpha': 0.2,
    'cutmix_alpha': 1,
    'rand_augment_layers': 1,
  }
  builders.save_every_step(monkeypatch)
  for run in 'whole', 'run':
    printed = builders.train(**{**flags, 'train_dir': run})
    assert printed.status == 0, printed.err
    assert printed.out.count(f'left out: record 6 of {path}') == 1
    if run == 'whole':
      builders.rewind('whole', 3, 'run')
  assert 'Resuming from run/model.ckpt-3, step 3.' in printed.out
  assert builders.differing('whole', 'run') == []


@pytest.mark.slow
def test_a_cut_checkpoint_is_passed_over(flags, whole):
  """The disk was full: the newest file ends early."""
  builders.rewind(whole, 3, 'run')
  newest = pathlib.Path('run/model.ckpt-3.data-00000-of-00001')
  newest.write_bytes(newest.read_bytes()[:1000])
  rest = builders.train(**flags)
  assert rest.status == 0, rest.err
  assert 'Resuming from run/model.ckpt-2, step 2.' in rest.out
  assert rest.err.count('note: run/model.ckpt-3 cannot be read') == 1
  assert builders.differing(whole, 'run') == []
  assert int(builders.tensors('run')['global_step']) == 6


@pytest.mark.slow
def test_a_finished_run_is_only_evaluated(
  digits_run, workplace, monkeypatch, cache_home
):
  monkeypatch.undo()  # with the evaluation
  monkeypatch.chdir(workplace)
  monkeypatch.setenv('XDG_CACHE_HOME', str(cache_home))
  builders.register_tiny_networks(monkeypatch.setitem)
  shutil.copytree(digits_run.folder, 'copy')
  shutil.rmtree('copy/eval')
  metrics = pathlib.Path('copy/metrics.csv').read_bytes()
  again = builders.train(
    model_name='resnet_v2_tiny',
    max_number_of_steps=6,
    batch_size=16,
    log_every_n_steps=2,
    train_dir='copy',
  )
  assert again.status == 0, again.err
  assert 'has been trained to the end' in again.out
  assert 'images/s' not in again.out
  assert 'Recalibrating' not in again.out
  assert builders.differing('copy', str(digits_run.folder)) == []
  assert pathlib.Path('copy/metrics.csv').read_bytes() == metrics
  assert pathlib.Path('copy/eval/eval.json').read_text().replace(
    'copy/', ''
  ) == (digits_run.folder / 'eval/eval.json').read_text().replace(
    f'{digits_run.folder}/', ''
  )


def contents(folder):
  """The bytes of the files in a folder, by name."""
  return {
    path.name: path.read_bytes()
    for path in pathlib.Path(folder).iterdir()
    if path.is_file()
  }


def test_a_flag_that_contradicts_the_run(flags, whole):
  """Neither its checkpoints nor its config.json are touched."""
  builders.rewind(whole, 2, 'run')
  before = contents('run')
  for name, begun, given in (
    ('model_name', 'resnet_v1_tiny', 'resnet_v2_tiny'),
    ('optimizer', 'momentum', 'adam'),
    ('labels_offset', 0, 1),
    ('use_grayscale', False, True),
    ('moving_average_decay', None, 0.9),
  ):
    builders.refused(
      builders.train(**{**flags, name: given, 'accept_changes': True}),
      'The run in run was begun with',
      f'{name}={begun}, not {given}',
      'name another --train_dir',
    )
  assert contents('run') == before


@pytest.mark.slow
def test_a_loss_that_is_no_number(flags, whole):
  """The last good checkpoint is kept, and a lower rate resumes from it."""
  builders.rewind(whole, 3, 'run')
  good = builders.tensors('run')
  wild = builders.train(
    **{**flags, 'learning_rate': 1e30, 'accept_changes': True}
  )
  builders.refused(
    wild,
    'not finite',
    'resumes from run/model.ckpt-3',
    '--learning_rate',
    'run/non_finite.json',
  )
  assert builders.tensors('run').keys() == good.keys()
  assert int(builders.tensors('run')['global_step']) == 3
  builders.refused(builders.train(**flags), 'learning_rate=1e+30, not 0.05')
  rest = builders.train(**flags, accept_changes=True)
  assert rest.status == 0 and 'step 3.' in rest.out


def test_a_second_training_in_the_folder(flags, whole):
  """Nothing of the first one's is touched."""
  builders.rewind(whole, 1, 'run')
  before = contents('run')
  with resume.alone('run'):
    builders.refused(
      builders.train(**flags),
      'Another training is writing to run',
      'another --train_dir',
    )
  after = contents('run')
  assert after.pop('.lock', b'') == before.pop('.lock', b'') == b''
  assert after == before
