"""Whether a training may resume the run in its folder."""

import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from engine.common import files
from engine.config import runs
from engine.config.scripts import TrainConfig
from engine.training import resume

# Holds a lock, without the seconds that TensorFlow takes to start.
HOLD = """
import sys, filelock
try:
  with filelock.FileLock(sys.argv[1], blocking=False):
    print('held', flush=True)
    sys.stdin.read()
except filelock.Timeout:
  print('refused', flush=True)
"""


def holding(folder):
  """Starts a process that asks for the lock of a folder."""
  return subprocess.Popen(
    [sys.executable, '-c', HOLD, folder / resume.LOCK_FILENAME],
    text=True,
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
  )


def refused(folder):
  with pytest.raises(ValueError) as error, resume.alone(str(folder)):
    pass
  assert str(error.value) == (
    f'Another training is writing to {folder}: wait for it, stop it, or '
    'name another --train_dir.'
  )


def test_another_process_holds_the_folder(tmp_path):
  """Until it is killed, which it cannot do anything about."""
  folder = tmp_path / 'run'
  folder.mkdir()
  with holding(folder) as process:
    try:
      assert process.stdout.readline() == 'held\n'
      refused(folder)
      with resume.alone(str(tmp_path / 'other')):
        refused(folder)
    finally:
      process.kill()
  with resume.alone(str(folder)), holding(folder) as process:
    assert process.communicate() == ('refused\n', None)


def test_held_in_this_process(tmp_path):
  with resume.alone(str(tmp_path)):
    refused(tmp_path)
  with pytest.raises(ZeroDivisionError), resume.alone(str(tmp_path)):
    raise ZeroDivisionError
  with resume.alone(str(tmp_path)):
    pass


def test_what_a_kill_left_is_removed(tmp_path):
  folder = tmp_path / 'run [1]'  # no pattern
  folder.mkdir()
  whole = {'model.ckpt-1.index', 'model.ckpt-1.data-00000-of-00001'}
  left = {
    'model.ckpt-2.data-00000-of-00001.tempstate123',
    'model.ckpt-2.index.tempstate4',
  }
  for name in whole | left:
    (folder / name).touch()
  with resume.alone(str(folder)):
    assert {path.name for path in folder.iterdir()} - {'.lock'} == whole


def test_a_held_folder_keeps_its_unfinished_checkpoint(tmp_path):
  with resume.alone(str(tmp_path)):
    unfinished = tmp_path / 'model.ckpt-2.index.tempstate4'
    unfinished.touch()
    refused(tmp_path)
    assert unfinished.exists()


def test_a_new_run_though_there_is_a_list(tmp_path, capsys):
  """It names what could not be written, as the disk was full."""
  tf.train.update_checkpoint_state(str(tmp_path), f'{tmp_path}/model.ckpt-1')
  assert resume.latest(str(tmp_path)) == (None, 0)
  assert capsys.readouterr().err == (
    f'note: {tmp_path}/checkpoint names no checkpoint that is there: training '
    'begins anew.\n'
  )


def test_the_best_of_an_earlier_training_is_not_replaced(tmp_path):
  """It may be all that is left of it."""
  (tmp_path / 'best').mkdir()
  assert resume.latest(str(tmp_path)) == (None, 0)
  (tmp_path / 'best/model.ckpt-3.index').touch()
  with pytest.raises(ValueError) as error:
    resume.latest(str(tmp_path))
  assert str(error.value) == (
    f'There is no checkpoint in {tmp_path} to resume from, and a new training '
    f'would replace the best of an earlier one in {tmp_path}/best: move that '
    'folder away to begin anew, or name another --train_dir.'
  )


@pytest.fixture
def begun(tmp_path):
  """begun(**flags) writes a run; begun.check(**flags) resumes it."""

  def write(**flags):
    runs.write(
      TrainConfig(train_dir=str(tmp_path), **flags),
      str(tmp_path),
      num_classes=5,
    )
    (tmp_path / 'model.ckpt-3.index').touch()

  def check(**flags):
    resume.check(TrainConfig(train_dir=str(tmp_path), **flags))

  write.check, write.folder = check, tmp_path
  return write


def complaint(begun, **flags):
  with pytest.raises(ValueError) as error:
    begun.check(**flags)
  return str(error.value)


def test_the_same_flags(begun):
  begun(batch_size=8, learning_rate=0.1, num_epochs=2.5)
  begun.check(batch_size=8, learning_rate=0.1, num_epochs=2.5)


def test_differences_are_named_together(begun):
  begun(batch_size=8, seed=1)
  text = complaint(begun, batch_size=16, seed=1, learning_rate=0.5)
  assert text in {
    f'The run in {begun.folder} was begun with {differences}: pass '
    '--accept_changes to resume with the new values, name another '
    '--train_dir, or resume it as it was begun, by --resume='
    f'{begun.folder} alone.'
    for differences in (
      'batch_size=8, not 16; learning_rate=None, not 0.5',
      'learning_rate=None, not 0.5; batch_size=8, not 16',
    )
  }


def test_accepted(begun):
  begun(batch_size=8, weight_decay=0.1)
  begun.check(batch_size=16, weight_decay=0.2, seed=3, accept_changes=True)


@pytest.mark.parametrize(
  'name, value',
  [
    ('model_name', 'resnet_v1_50'),
    ('dataset_name', 'flowers'),
    ('labels_offset', 1),
    ('use_grayscale', True),
    ('optimizer', 'adam'),
    ('trainable_scopes', 'logits'),
    ('moving_average_decay', 0.9),
  ],
)
@pytest.mark.parametrize('accept', [False, True])
def test_never(begun, name, value, accept):
  """What the variables of the network follow from."""
  begun(**{name: value})
  default = TrainConfig.__dataclass_fields__[name].default
  assert complaint(begun, accept_changes=accept) == (
    f'The run in {begun.folder} was begun with {name}={value}, not '
    f'{default}: name another --train_dir, or resume it as it was begun, by '
    f'--resume={begun.folder} alone.'
  )


def test_never_and_told(begun):
  """With --accept_changes only what it does not help for is named."""
  begun(optimizer='adam', batch_size=8)
  text = complaint(begun, batch_size=16)
  assert 'optimizer=adam, not momentum; batch_size=8, not 16: name' in text
  text = complaint(begun, batch_size=16, accept_changes=True)
  assert 'optimizer=adam, not momentum: name' in text
  assert 'batch_size' not in text and '--accept_changes' not in text


@pytest.mark.parametrize(
  'name, value',
  [
    ('dataset_dir', '/elsewhere'),
    ('max_number_of_steps', 9),
    ('num_epochs', 2.5),
    ('log_every_n_steps', 3),
    ('save_interval_secs', 7),
    ('keep_checkpoints', 2),
    ('keep_best', 3),
    ('cache', 'memory'),
    ('num_preprocessing_threads', 1),
    ('profile_steps', '2,3'),
    ('accept_changes', True),
    ('eval_split_name', 'test'),
    ('verbosity', 1),
    ('num_clones', 4),
    ('num_readers', 9),
    ('clone_on_cpu', True),
  ],
)
def test_free(begun, name, value):
  """And what has lost its meaning."""
  begun()
  begun.check(**{name: value})


def test_the_steps_of_a_cosine(begun):
  """Other steps are another schedule."""
  cosine = {'learning_rate_decay_type': 'cosine'}
  begun(**cosine, max_number_of_steps=9)
  begun.check(**cosine, max_number_of_steps=9)
  assert 'max_number_of_steps=9, not 12: pass' in complaint(
    begun, **cosine, max_number_of_steps=12
  )
  begun.check(**cosine, max_number_of_steps=12, accept_changes=True)


def test_the_folder_may_have_moved(begun):
  begun(batch_size=8)
  moved = begun.folder.parent / 'moved'
  begun.folder.rename(moved)
  resume.check(TrainConfig(train_dir=str(moved), batch_size=8))
  moved.rename(begun.folder)


def test_a_run_without_a_checkpoint_is_begun_anew(begun):
  begun(optimizer='adam')
  (begun.folder / 'model.ckpt-3.index').unlink()
  begun.check(optimizer='momentum')


def test_a_run_of_an_older_version(begun):
  """Its config.json lacks the newer flags, which may be anything.

  Those that never may differ are as they were without them.
  """
  begun(batch_size=8)
  path = begun.folder / 'config.json'
  values = files.read_json(path)
  for name in 'num_micro_batches', 'num_classes', 'optimizer':
    del values[name]
  files.write_json(path, values)
  begun.check(batch_size=8, num_micro_batches=4)
  text = complaint(begun, batch_size=8, optimizer='adam')
  assert 'begun with optimizer=momentum, not adam: name another' in text
  path.unlink()
  begun.check(batch_size=16)
