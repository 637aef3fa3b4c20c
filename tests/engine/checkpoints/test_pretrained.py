"""Weights by name: whole or not there, whatever happens on the way."""

import io
import json
import os
import pathlib
import tarfile
import threading
import types

import pytest

from engine.checkpoints import locate, pretrained
from engine.checkpoints.convert import proof, recognition
from tests import builders, published
from tests.engine.checkpoints.convert import sources

NAME = 'pretrained:resnet_v1_tiny'
pytestmark = pytest.mark.usefixtures('publisher')


def complaint(name=NAME):
  """What is said of weights that cannot be had."""
  with pytest.raises(ValueError) as error:
    pretrained.find(name)
  assert '\n' not in str(error.value)
  return str(error.value)


def files_in(folder):
  """The names of what is left in the cache, without the lock."""
  names = {str(p.relative_to(folder)) for p in folder.rglob('*')}
  return names - {'resnet_v1_tiny.lock'}


def serve(publisher, path, **changes):
  """Serves another file under the name."""
  (publisher.folder / path.name).write_bytes(path.read_bytes())
  publisher.table['tfslim:resnet_v1_tiny'] = published.entry(path, **changes)


def pack(path, members):
  """Writes a tar.gz of {name: bytes}."""
  with tarfile.open(path, 'w:gz') as file:
    for name, data in members.items():
      info = tarfile.TarInfo(name)
      info.size = len(data)
      file.addfile(info, io.BytesIO(data))
  return path


def test_a_name_is_a_folder_that_is_kept(publisher, archive):
  found = pretrained.find(NAME)
  folder = publisher.cache / 'resnet_v1_tiny'
  assert (found.name, found.folder) == ('tfslim:resnet_v1_tiny', str(folder))
  assert files_in(publisher.cache) == {
    'resnet_v1_tiny',
    'resnet_v1_tiny/resnet_v1_tiny.ckpt',
    'resnet_v1_tiny/config.json',
    'resnet_v1_tiny/pretrained.json',
  }
  assert json.loads((folder / 'config.json').read_text()) == {
    'model_name': 'resnet_v1_tiny',
    'preprocessing_name': 'inception',
    'train_image_size': 40,
    'labels_offset': 1,
    'num_classes': 1001,
    'task': 'classification',
  }
  told = json.loads((folder / 'pretrained.json').read_text())
  assert told['sha256'] == published.sha256(archive).value
  assert told['address'] == f'http://{published.HOST}/models/{archive.name}'
  assert locate.find(NAME) == str(folder / 'resnet_v1_tiny.ckpt')
  assert pretrained.name_of(locate.find(NAME)) == 'tfslim:resnet_v1_tiny'
  # Without a network, and without another request.
  publisher.stop()
  assert pretrained.find('tfslim:resnet_v1_tiny') == found
  assert publisher.requests == [
    (f'/{published.HOST}/models/{archive.name}', None)
  ]


def test_an_interrupted_download_is_resumed(publisher, archive, monkeypatch):
  publisher.cuts[:] = [1000, 700]  # the last is of the first answer
  assert pretrained.find(NAME)
  assert [asked for _, asked in publisher.requests] == [
    None,
    'bytes=700-',
    'bytes=1000-',
  ]


def test_a_later_process_resumes(publisher):
  publisher.cuts[:] = [0, 0, 500]
  said = complaint()
  part = publisher.cache / 'resnet_v1_tiny.download/resnet_v1_tiny.tar.gz.part'
  assert '500 bytes are kept, and the same command resumes' in said
  assert part.stat().st_size == 500
  assert pretrained.find(NAME)
  assert publisher.requests[-1][1] == 'bytes=500-'
  assert not part.parent.exists()


def test_a_wrong_hash(publisher):
  path = publisher.folder / 'resnet_v1_tiny.tar.gz'
  path.write_bytes(path.read_bytes()[:-1] + b'x')
  said = complaint()
  for words in (
    f'{path.name} is not the file it should be: it has the sha256',
    'It was deleted. Run the command again',
    f'put a copy of http://{published.HOST}/models/{path.name} at '
    f'{publisher.cache}/resnet_v1_tiny.download/{path.name}',
    'a mirror by SLIM_RESNETS_MIRROR',
  ):
    assert words in said
  assert not (publisher.cache / 'resnet_v1_tiny').exists()
  assert not any(publisher.cache.rglob('*.part'))


def test_a_copy_put_where_the_error_says(publisher, archive):
  publisher.stop()
  assert 'could not be downloaded' in complaint()
  kept = publisher.cache / 'resnet_v1_tiny.download'
  kept.mkdir(exist_ok=True)
  (kept / archive.name).write_bytes(archive.read_bytes())
  assert os.path.isdir(pretrained.find(NAME).folder)
  assert not kept.exists()


def test_a_copy_of_a_file_without_a_hash(publisher, archive, capsys):
  """It is taken, and stays if it is another file."""
  serve(publisher, archive, hash=None)
  publisher.stop()
  kept = publisher.cache / 'resnet_v1_tiny.download'
  kept.mkdir(parents=True)
  (kept / archive.name).write_bytes(b'<html>')
  assert 'is no archive' in complaint()
  assert (kept / archive.name).read_bytes() == b'<html>'
  (kept / archive.name).write_bytes(archive.read_bytes())
  assert os.path.isdir(pretrained.find(NAME).folder)
  assert 'which was put there' in capsys.readouterr().err


def test_what_the_server_lacks(publisher, archive):
  (publisher.folder / archive.name).unlink()
  said = complaint()
  assert 'the server answered 404' in said and 'SLIM_RESNETS_MIRROR' in said


def test_a_mirror_that_is_a_folder(publisher, archive, monkeypatch):
  publisher.stop()
  mirror = publisher.folder.parents[1]
  monkeypatch.setenv(pretrained.MIRROR, str(mirror))
  assert pretrained.find(NAME)
  assert (publisher.folder / archive.name).exists()  # it is no copy of ours
  monkeypatch.setenv(pretrained.MIRROR, str(mirror / 'other'))
  publisher.table['tfslim:new'] = published.entry(archive, network='new')
  said = complaint('tfslim:new')
  assert f'has no file {published.HOST}/models/{archive.name}' in said
  assert f'SLIM_RESNETS_MIRROR={mirror / "other"}' in said


def test_without_a_mirror(publisher, archive, monkeypatch):
  monkeypatch.delenv(pretrained.MIRROR)
  entry = publisher.table['tfslim:resnet_v1_tiny']
  assert pretrained._address(NAME, entry) == entry.address


@pytest.mark.slow
def test_two_at_once_download_once(publisher):
  found = []

  def get():
    found.append(pretrained.find(NAME))

  threads = [threading.Thread(target=get) for _ in range(2)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(found) == 2 and found[0] == found[1]
  assert len(publisher.requests) == 1


def test_what_a_kill_left_is_swept(publisher):
  """All files are there, but not under the name that counts."""
  left = pathlib.Path(f'{pretrained.find(NAME).folder}-abc.unfinished')
  pathlib.Path(pretrained.find(NAME).folder).rename(left)
  assert pretrained.find(NAME)
  assert not left.exists()
  assert len(publisher.requests) == 2


def test_a_failure_leaves_nothing(publisher, monkeypatch):
  def fail(*_):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(pretrained, '_record', fail)
    with pytest.raises(KeyboardInterrupt):
      pretrained.find(NAME)
  assert files_in(publisher.cache) == {
    'resnet_v1_tiny.download',
    'resnet_v1_tiny.download/resnet_v1_tiny.tar.gz',
    'resnet_v1_tiny.download/resnet_v1_tiny.tar.gz.json',
  }
  assert pretrained.find(NAME)
  assert len(publisher.requests) == 1  # the download was whole


@pytest.mark.parametrize('damage', ['cut', 'gone', 'record', 'table'])
def test_what_is_damaged_is_made_again(publisher, damage, capsys):
  folder = pathlib.Path(pretrained.find(NAME).folder)
  checkpoint = folder / 'resnet_v1_tiny.ckpt'
  if damage == 'cut':
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
  elif damage == 'gone':
    checkpoint.unlink()
  elif damage == 'record':
    (folder / 'pretrained.json').write_text('{')
  else:  # another file has been published
    entry = publisher.table['tfslim:resnet_v1_tiny']
    publisher.table['tfslim:resnet_v1_tiny'] = entry._replace(hash=None)
  assert pretrained.find(NAME).folder == str(folder)
  assert locate.is_readable(str(checkpoint))
  assert 'is made again' in capsys.readouterr().err
  assert len(publisher.requests) == 2


def test_a_checkpoint_that_rots(publisher):
  """Its size is right: reading tells."""
  checkpoint = pathlib.Path(locate.find(NAME))
  data = bytearray(checkpoint.read_bytes())
  data[len(data) // 2] ^= 255
  checkpoint.write_bytes(data)
  with pytest.raises(ValueError, match='is damaged. Delete that folder'):
    locate.find(NAME)


@pytest.mark.parametrize(
  'members, words',
  [
    ({'../out.ckpt': b'x'}, 'that is not safe'),
    ({'readme': b'x'}, 'has no checkpoints, and tfslim:resnet_v1_tiny'),
    ({'a.ckpt': b'x', 'b.ckpt': b'x'}, 'has 2 checkpoints'),
    ({'a.ckpt': b'x'}, 'is damaged'),
  ],
)
def test_an_archive_of_something_else(publisher, tmp_path, members, words):
  serve(publisher, pack(tmp_path / 'a.tar.gz', members))
  assert words in complaint()
  assert not (publisher.cache / 'resnet_v1_tiny').exists()
  assert not any(publisher.cache.glob('*.unfinished'))


def test_no_archive_without_a_hash_is_downloaded_anew(publisher, tmp_path):
  path = tmp_path / 'resnet_v1_tiny.tar.gz'
  path.write_bytes(b'<html>')
  serve(publisher, path, hash=None)
  assert 'is no archive' in complaint()
  assert not (publisher.cache / 'resnet_v1_tiny.download').exists()


@pytest.mark.parametrize(
  'changes, words',
  [
    ({'network': 'resnet_v1_small'}, 'should be resnet_v1_small with 1000'),
    ({'num_classes': 1001}, 'resnet_v1_tiny with 1000 classes, and'),
  ],
)
def test_weights_of_another_network(publisher, archive, changes, words):
  serve(publisher, archive, **changes)
  assert words in complaint('tfslim:resnet_v1_tiny')


@pytest.mark.parametrize(
  'form, write, file',
  [
    ('keras_v1', sources.write_legacy, 'w.h5'),
    ('torch', sources.write_safetensors, 'model.safetensors'),
  ],
)
def test_files_of_other_libraries(
  publisher, tmp_path, monkeypatch, form, write, file
):
  """They are converted once, with what the table has of them."""
  monkeypatch.setattr(recognition, 'PUBLISHED', sources.PUBLISHED)
  unproved = types.SimpleNamespace(as_json=lambda: {'features': 0.0})
  monkeypatch.setattr(proof, 'prove', lambda *_: unproved)  # it takes long
  values, arrays = sources.tiny(form)
  write(tmp_path / file, arrays)
  (publisher.folder / file).write_bytes((tmp_path / file).read_bytes())
  publisher.table['keras:tiny'] = published.entry(
    tmp_path / file, preprocessing='vgg', root_block='7x7_symmetric'
  )
  found = pretrained.find('keras:tiny')
  assert {path.name for path in pathlib.Path(found.folder).iterdir()} == {
    'config.json',
    'conversion.json',
    'model.ckpt-0.data-00000-of-00001',
    'model.ckpt-0.index',
    'pretrained.json',
  }
  held = builders.tensors(locate.find('keras:tiny'))
  assert held.keys() == {f'resnet_v1_tiny/{name}' for name in values}
  for name, value in values.items():
    if not name.endswith('moving_mean'):  # it holds the source's biases too
      assert (held[f'resnet_v1_tiny/{name}'] == value).all(), name
  config = json.loads(pathlib.Path(found.folder, 'config.json').read_text())
  assert config['root_block'] == '7x7_symmetric'
  assert config['preprocessing_name'] == 'vgg'
  assert config['train_image_size'] == 40
  assert (config['labels_offset'], config['num_classes']) == (1, 6)
  told = json.loads(pathlib.Path(found.folder, 'conversion.json').read_text())
  assert told['source'] == found.entry.address
  pretrained.find('keras:tiny')
  assert len(publisher.requests) == 1


def test_no_room(publisher, monkeypatch):
  usage = type('Usage', (), {'free': 3_000_000})
  monkeypatch.setattr(pretrained.shutil, 'disk_usage', lambda _: usage)
  publisher.table['tfslim:resnet_v1_tiny'] = publisher.table[
    'tfslim:resnet_v1_tiny'
  ]._replace(size=50_000_000)
  said = complaint()
  assert 'takes 100 MB' in said and 'has 3 MB free' in said
  assert 'XDG_CACHE_HOME' in said and publisher.requests == []


def test_no_permission(publisher):
  publisher.cache.parent.write_text('a file is in the way')
  said = complaint()
  assert f'cannot be kept in {publisher.cache}' in said
  assert 'name another folder for the cache by XDG_CACHE_HOME' in said


def test_files_of_pytorch_need_it(publisher, archive, monkeypatch):
  monkeypatch.setattr(pretrained.importlib.util, 'find_spec', lambda _: None)
  address = f'http://{published.HOST}/a-0123abcd'
  publisher.table['torchvision:tiny'] = published.entry(
    archive, address=f'{address}.pth'
  )
  said = complaint('torchvision:tiny')
  assert 'pip install torch' in said
  assert 'Or take tfslim:resnet_v1_tiny, which needs none.' in said
  assert publisher.requests == []
