"""Which checkpoint a path or a folder means."""

import os
import pathlib
import tarfile

import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints import contents, locate


def test_newest(save, tmp_path):
  path = save('model.ckpt', steps=(1, 2, 10))
  assert path == locate.prefix(str(tmp_path)) + '-10'
  assert locate.newest(str(tmp_path)) == path


def test_newest_of_nothing(tmp_path):
  assert locate.newest(str(tmp_path)) is None
  assert locate.newest(str(tmp_path / 'nowhere')) is None
  (tmp_path / 'checkpoint').write_text('garbage {')
  assert locate.newest(str(tmp_path)) is None


def _cut(path, ending, share):
  path = pathlib.Path(path + ending)
  os.truncate(path, int(path.stat().st_size * share))


def _remove(path, ending, share):
  os.remove(path + ending)


def _flip(path, ending, share):
  path = pathlib.Path(path + ending)
  data = bytearray(path.read_bytes())
  data[int(len(data) * share)] ^= 1
  path.write_bytes(data)


@pytest.mark.parametrize(
  'damage, share',
  [(_cut, 0), (_cut, 0.5), (_cut, 0.99), (_remove, 0), (_flip, 0.5)],
)
@pytest.mark.parametrize('ending', ['.index', '.data-00000-of-00001'])
def test_damaged_ones_are_passed_over(save, tmp_path, ending, damage, share):
  path = save('model.ckpt', steps=(1, 2, 3))
  for step in (2, 3):
    damage(f'{path[:-1]}{step}', ending, share)
  assert not locate.is_readable(path)
  assert locate.newest(str(tmp_path)) == path[:-1] + '1'
  assert locate.find(str(tmp_path)) == path[:-1] + '1'
  with pytest.raises(
    ValueError, match=f'The checkpoint {path} is damaged|There is no checkpoint'
  ):
    locate.find(path)


def test_moved_folder(save, tmp_path):
  save('a/model.ckpt', steps=(1, 2))
  (tmp_path / 'a').rename(tmp_path / 'b')
  assert locate.newest(str(tmp_path / 'b')) == str(
    tmp_path / 'b' / 'model.ckpt-2'
  )


def test_without_the_list(save, tmp_path, capsys):
  """A folder copied without the file `checkpoint`: the last step counts."""
  path = save('model.ckpt', steps=(9, 10, 11))
  (tmp_path / 'checkpoint').unlink()
  for step, seconds in ((9, 300), (10, 100), (11, 200)):
    os.utime(f'{path[:-2]}{step}.index', (seconds, seconds))
  assert locate.listed(str(tmp_path)) == [
    f'{path[:-2]}{step}' for step in (9, 10, 11)
  ]
  assert locate.find(str(tmp_path)) == path
  assert capsys.readouterr().err == (
    f'note: no file {tmp_path}/checkpoint names the newest checkpoint: {path} '
    'is taken, by the step in its name.\n'
  )


def test_of_the_same_step_the_last_written(save, tmp_path):
  """And one that has a step before those that have none."""
  for name, step, seconds in (
    ('b.ckpt', 3, 200),
    ('a.ckpt', 3, 300),
    ('c.ckpt', 2, 400),
    ('d.ckpt', None, 500),
  ):
    os.utime(f'{save(name, steps=(step,))}.index', (seconds, seconds))
  (tmp_path / 'checkpoint').unlink()
  assert list(map(os.path.basename, locate.listed(str(tmp_path)))) == [
    'd.ckpt',
    'c.ckpt-2',
    'b.ckpt-3',
    'a.ckpt-3',
  ]


@pytest.mark.parametrize('data', [b'garbage {', b'\xff\xfe', b''])
def test_a_damaged_list(save, tmp_path, data):
  path = save('model.ckpt', steps=(1, 2))
  (tmp_path / 'checkpoint').write_bytes(data)
  assert locate.newest(str(tmp_path)) == path


def test_the_list_names_what_is_gone(save, tmp_path):
  """What is there is taken, though it is not named."""
  path = save('model.ckpt', steps=(1, 2))
  tf.train.update_checkpoint_state(str(tmp_path), f'{path[:-1]}7')
  assert locate.to_resume(str(tmp_path)) == path


def test_who_is_passed_over_is_named(save, tmp_path, capsys):
  path = save('model.ckpt', steps=(1, 2, 3))
  assert locate.find(str(tmp_path)) == locate.to_resume(str(tmp_path)) == path
  assert locate.newest(str(tmp_path)) == path and not capsys.readouterr().err
  _cut(path, '.index', 0.5)
  _remove(path[:-1] + '2', '.data-00000-of-00001', 0)
  want = (
    f'note: {path} and {path[:-1]}2 cannot be read, being damaged or '
    f'incomplete: {path[:-1]}1 is taken, the newest that can.\n'
  )
  for find in locate.find, locate.to_resume:
    assert find(str(tmp_path)) == path[:-1] + '1'
    assert capsys.readouterr() == ('', want)
  locate.find(str(tmp_path), tells=False)
  assert locate.newest(str(tmp_path)) and not capsys.readouterr().err


def test_to_resume(save, tmp_path):
  assert locate.to_resume(str(tmp_path / 'nowhere')) is None
  assert locate.to_resume(str(tmp_path)) is None
  path = save('model.ckpt', steps=(1, 2))
  assert locate.to_resume(str(tmp_path)) == path
  _cut(path, '.index', 0.5)
  assert locate.to_resume(str(tmp_path)) == path[:-1] + '1'
  _cut(path[:-1] + '1', '.index', 0.5)
  with pytest.raises(
    ValueError,
    match=f'No checkpoint in {tmp_path} can be '
    'read. Remove them, or name another --train_dir',
  ):
    locate.to_resume(str(tmp_path))


def test_the_list_names_nothing(save, tmp_path):
  """As when the disk was full at the first checkpoint: a new run."""
  path = save('model.ckpt', steps=(1,))
  _remove(path, '.index', 0)
  with pytest.raises(ValueError, match='can be read'):  # there are values
    locate.to_resume(str(tmp_path))
  _remove(path, '.data-00000-of-00001', 0)
  assert (tmp_path / 'model.ckpt-1.meta').exists()
  assert locate.listed(str(tmp_path)) == []
  assert locate.to_resume(str(tmp_path)) is None


@pytest.mark.parametrize('name', ['run[1]', 'a*', '?', 'a\\b'])
def test_a_name_that_is_a_pattern(tmp_path, name):
  """TensorFlow itself does not find such files again."""
  for path in tmp_path / name, tmp_path / name / 'model.ckpt-1':
    with pytest.raises(ValueError) as error:
      locate.find(str(path))
    assert str(error.value).startswith(
      f'--checkpoint_path={path}: TensorFlow takes '
    )


def test_names_that_are_no_pattern(save, tmp_path):
  (tmp_path / 'run]1 {a} $x %s').mkdir()
  path = save('run]1 {a} $x %s/model.ckpt', steps=(1, 2))
  assert locate.find(os.path.dirname(path)) == path


@pytest.mark.parametrize(
  'ending', ['', '.index', '.meta', '.data-00000-of-00001']
)
def test_find_by_any_of_its_files(save, ending):
  path = save('model.ckpt', steps=(1, 2))
  assert locate.find(f'{path[:-1]}1{ending}') == path[:-1] + '1'


def test_find_nothing(tmp_path):
  with pytest.raises(
    ValueError, match=f'no readable checkpoint in {tmp_path}: train first'
  ):
    locate.find(str(tmp_path))
  with pytest.raises(
    ValueError,
    match=f'There is no checkpoint {tmp_path}/a: --checkpoint_path takes',
  ):
    locate.find(str(tmp_path / 'a'))


@pytest.mark.parametrize('data', [b'', b'hello world' * 20, bytes(1000)])
def test_find_garbage(tmp_path, data):
  path = tmp_path / 'model.ckpt'
  path.write_bytes(data)
  with pytest.raises(ValueError, match=f'{path} is damaged, or is another '):
    locate.find(str(path))


@pytest.mark.parametrize(
  'name, near',
  [
    ('model.ckpt-3', 'model.ckpt-2'),
    ('modle.ckpt-2', 'model.ckpt-2'),
    ('zzz', None),
  ],
)
def test_find_suggests(save, tmp_path, name, near):
  save('model.ckpt', steps=(1, 2))
  with pytest.raises(ValueError) as error:
    locate.find(str(tmp_path / name))
  assert ('Did you mean' in str(error.value)) == (near is not None)
  assert near is None or str(tmp_path / near) in str(error.value)


def test_find_names_what_it_was_given_by(tmp_path):
  (tmp_path / 'garbage').write_text('no checkpoint')
  for name in '', 'nowhere', 'garbage':
    with pytest.raises(ValueError, match=r'\bPATH\b'):
      locate.find(str(tmp_path / name), 'PATH')


def test_find_in_an_archive(save, tmp_path):
  """As TF-Slim's are downloaded."""
  path = save('old.ckpt', version=tf.train.SaverDef.V1)
  archive = tmp_path / 'resnet_v1_50_2016_08_28.tar.gz'
  with tarfile.open(archive, 'w:gz') as file:
    file.add(path, 'old.ckpt')
  with pytest.raises(ValueError, match=f'{archive} is an archive: unpack it'):
    locate.find(str(archive))


@pytest.mark.parametrize('name', ['resnet_v1_50.ckpt', 'model.ckpt-7'])
def test_find_first_format_in_a_folder(save, tmp_path, name):
  """Without the file `checkpoint`, as released ones are unpacked."""
  (tmp_path / 'a').mkdir()
  path = save(f'a/{name}', version=tf.train.SaverDef.V1)
  (tmp_path / 'a/checkpoint').unlink()
  assert contents.version(path) == 'V1'
  assert locate.find(str(tmp_path / 'a')) == path
  save('a/b.ckpt', steps=(3,))
  assert contents.version(str(tmp_path / 'a/b.ckpt-3')) == 'V2'


def test_find_first_format(save):
  path = save('old.ckpt', version=tf.train.SaverDef.V1)
  assert os.path.isfile(path) and not os.path.exists(path + '.index')
  assert locate.find(path) == path
  os.truncate(path, os.path.getsize(path) // 2)
  with pytest.raises(ValueError, match='is damaged'):
    locate.find(path)


@pytest.mark.parametrize('ending', ['.index', '.data-00000-of-00001'])
def test_a_pipe_in_the_place_of_a_file(save, tmp_path, ending):
  path = save('model.ckpt', steps=(1, 2))
  os.remove(path + ending)
  os.mkfifo(path + ending)
  assert locate.newest(str(tmp_path)) == locate.prefix(str(tmp_path)) + '-1'
  with pytest.raises(ValueError, match=f'The checkpoint {path} is damaged'):
    locate.find(path)


def test_the_file_checkpoint(save, tmp_path):
  """That is no text, or a pipe."""
  path = save('model.ckpt', steps=(1,))
  state = tmp_path / 'checkpoint'
  state.write_bytes(b'model_checkpoint_path: "\xff\xfe"')
  assert locate.newest(str(tmp_path)) == path
  state.unlink()
  os.mkfifo(state)
  with pytest.raises(ValueError, match=f'{state} is a pipe, and no file'):
    locate.newest(str(tmp_path))


def test_the_run_of_a_checkpoint(tmp_path):
  assert locate.run_of(str(tmp_path / 'model.ckpt-1')) == {}
  (tmp_path / 'config.json').write_text('{"model_name": "a"}')
  assert locate.run_of(str(tmp_path / 'model.ckpt-1')) == {'model_name': 'a'}


def test_a_run_elsewhere():
  """Its config.json is not passed over in silence."""
  path = 'ram://run/model.ckpt-1'
  assert locate.run_of(path) == {}
  with tf.io.gfile.GFile('ram://run/config.json', 'w') as file:
    file.write('{}')
  with pytest.raises(
    ValueError, match='ram://run holds a run, and config.json'
  ):
    locate.run_of(path)
  tf.io.gfile.remove('ram://run/config.json')
