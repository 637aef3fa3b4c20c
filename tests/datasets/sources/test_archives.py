"""Archives: what is unpacked, what is refused, and that nothing is left."""

import errno
import gzip
import io
import os
import random
import re
import shutil
import stat
import struct
import tarfile
import types
import warnings
import zipfile

import pytest

from datasets.sources import archives

FILES = {
  'a.txt': b'first',
  'folder/b.bin': bytes(range(256)) * 40,
  'folder/deeper/Käse 猫.txt': 'ß'.encode(),
  'empty': b'',
  'A.txt': b'not a.txt',
}
TARS = {
  'tar': 'w',
  'tar.gz': 'w:gz',
  'tgz': 'w:gz',
  'tar.bz2': 'w:bz2',
  'tar.xz': 'w:xz',
}
KINDS = ('zip', *TARS)


def _tar(path, members, mode='w'):
  """Writes (name, bytes or what else a TarInfo has) pairs."""
  with tarfile.open(
    path, mode, encoding='utf-8', errors='surrogateescape'
  ) as file:
    for name, data in members:
      info = tarfile.TarInfo(name)
      if isinstance(data, dict):
        for key, value in data.items():
          setattr(info, key, value)
        data = b''
      info.size = info.size or len(data)
      file.addfile(info, io.BytesIO(data))
  return path


def _zip(path, members):
  """Writes (name or ZipInfo, bytes) pairs."""
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
    for name, data in members:
      file.writestr(name, data)
  return path


def _archive(path, kind, files=None):
  files = FILES if files is None else files
  if kind == 'zip':
    return _zip(path, files.items())
  return _tar(path, files.items(), TARS[kind])


def _tree(folder):
  return {
    path.relative_to(folder).as_posix(): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file()
  }


@pytest.fixture
def refused(tmp_path):
  """Returns the sentence about an archive, of which nothing is left."""
  (tmp_path / 'out').mkdir()

  def unpack(path):
    with pytest.raises(ValueError) as caught:
      archives.unpack(path, tmp_path / 'out' / 'new')
    assert str(path) in str(caught.value)
    assert os.listdir(tmp_path / 'out') == []
    return str(caught.value)

  return unpack


@pytest.mark.parametrize('kind', KINDS)
def test_round_trip(tmp_path, kind):
  path = _archive(tmp_path / f'x.{kind}', kind)
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    assert archives.is_archive(path)
    archives.unpack(path, tmp_path / 'some' / 'new')
  assert _tree(tmp_path / 'some' / 'new') == FILES
  assert os.listdir(tmp_path / 'some') == ['new']
  assert stat.S_IMODE((tmp_path / 'some' / 'new').stat().st_mode) == 0o755


@pytest.mark.parametrize('kind', KINDS)
def test_the_content_decides(tmp_path, kind):
  path = _archive(tmp_path / 'picture.jpg', kind)
  archives.unpack(str(path), str(tmp_path / 'new'))
  assert _tree(tmp_path / 'new') == FILES


def test_a_tar_that_ends_with_a_zip(tmp_path):
  inner = _archive(tmp_path / 'inner.zip', 'zip').read_bytes()
  path = _tar(tmp_path / 'x.tar', [('inner.zip', inner)])
  assert zipfile.is_zipfile(path)
  archives.unpack(path, tmp_path / 'new')
  assert _tree(tmp_path / 'new') == {'inner.zip': inner}


def test_an_empty_folder_is_filled(tmp_path):
  (tmp_path / 'disk').mkdir()
  (tmp_path / 'link').symlink_to('disk')
  archives.unpack(_archive(tmp_path / 'x', 'tar'), tmp_path / 'link')
  assert (tmp_path / 'link').is_symlink() and _tree(tmp_path / 'disk') == FILES


@pytest.mark.parametrize('kind', KINDS)
def test_a_folder_with_something_is_not_touched(tmp_path, kind):
  (tmp_path / 'new').mkdir()
  (tmp_path / 'new' / 'mine').write_text('x')
  with pytest.raises(ValueError, match='new or an empty folder'):
    archives.unpack(_archive(tmp_path / 'x', kind), tmp_path / 'new')
  assert os.listdir(tmp_path / 'new') == ['mine']
  with pytest.raises(ValueError, match='new or an empty folder'):
    archives.unpack(tmp_path / 'x', tmp_path / 'new' / 'mine')


@pytest.mark.parametrize(
  'data',
  [
    b'',
    b'PK',
    b'text\n' * 300,
    b'\x1f\x8b',
    b'\x1f\x8b' + b'x' * 600,
    b'\x89PNG\r\n',
    random.Random(0).randbytes(3000),
  ],
)
def test_no_archive(tmp_path, refused, data):
  path = tmp_path / 'x.zip'
  path.write_bytes(data)
  assert not archives.is_archive(path)
  assert 'is no archive' in refused(path)


def test_no_file(tmp_path, refused):
  assert not archives.is_archive(tmp_path)
  assert not archives.is_archive(tmp_path / 'none')
  assert 'There is no file' in refused(tmp_path / 'none')
  assert 'There is no file' in refused(tmp_path)


def test_rights_do_not_come_along(tmp_path):
  path = _tar(
    tmp_path / 'x.tar',
    [
      ('a', {'mode': 0o6777, 'uid': 12345}),
      ('locked', {'type': tarfile.DIRTYPE, 'mode': 0}),
      ('locked/b', b'x'),
    ],
  )
  archives.unpack(path, tmp_path / 'new')
  found = (tmp_path / 'new' / 'a').stat()
  assert not found.st_mode & 0o6111 and found.st_uid == os.getuid()
  assert (tmp_path / 'new' / 'locked' / 'b').read_bytes() == b'x'


def test_names_that_are_no_harm(tmp_path):
  names = ['./a', 'b//c', './d/./e', '..f', 'g..', '...', 'h\ri', "'; rm -rf"]
  archives.unpack(
    _tar(
      tmp_path / 'x',
      [('.', {'type': tarfile.DIRTYPE}), *((n, n.encode()) for n in names)],
    ),
    tmp_path / 'new',
  )
  assert _tree(tmp_path / 'new') == {
    os.path.normpath(name): name.encode() for name in names
  }


def test_the_last_of_a_name_wins(tmp_path):
  path = _tar(
    tmp_path / 'x',
    [
      ('a', b'1'),
      ('b', {'type': tarfile.LNKTYPE, 'linkname': 'a'}),
      ('a', b'22'),
    ],
  )
  archives.unpack(path, tmp_path / 'new')
  assert _tree(tmp_path / 'new') == {'a': b'22', 'b': b'1'}


EVIL_NAMES = [
  '/etc/x',
  '../x',
  'a/../../x',
  'a/..',
  'C:/x',
  'c:x',
  '//host/x',
  '\\x',
  '..\\x',
  'a\\..\\..\\x',
  'C:\\x',
]


@pytest.mark.parametrize('kind', ['zip', 'tar', 'tar.gz'])
@pytest.mark.parametrize('name', EVIL_NAMES)
def test_a_member_outside(tmp_path, refused, name, kind):
  path = _archive(tmp_path / 'x', kind, {'good': b'1', name: b'2'})
  text = refused(path)
  assert ascii(name) in text and re.search('outside|not safe', text)
  assert 'get the archive from where it was made' in text
  assert sorted(os.listdir(tmp_path)) == ['out', 'x']


@pytest.mark.parametrize('name', ['a\nb', 'a\0b', 'a\udcffb'])
def test_a_name_that_is_none_in_a_tar(tmp_path, refused, name):
  # A NUL ends the name in a tar's header, but not in that of pax.
  path = _tar(
    tmp_path / 'x',
    [
      ('good', b'1'),
      ('x', {'pax_headers': {'path': name}}) if '\0' in name else (name, b'2'),
    ],
  )
  text = refused(path)
  assert ascii(name) in text and 'pack the archive again' in text


@pytest.mark.parametrize(
  'raw, flag, words',
  [
    (b'a\nb', 0, 'line break'),
    (b'a\0b', 0, 'line break or NUL'),
    (b'a\xe4b', 0, 'not UTF-8'),
    (b'a\xe4b', 0x800, 'not UTF-8'),
  ],
)
def test_a_name_that_is_none_in_a_zip(tmp_path, refused, raw, flag, words):
  path = _zip(tmp_path / 'x', [('good', b'1'), ('QQQ', b'2')])
  data = bytearray(path.read_bytes().replace(b'QQQ', raw))
  at = data.rindex(b'PK\x01\x02')  # its entry in the directory
  data[at + 8 : at + 10] = struct.pack('<H', flag)
  path.write_bytes(data)
  text = refused(path)
  assert words in text and ascii(raw)[2:-1] in text


def test_utf_8_without_the_flag(tmp_path):
  """As macOS writes it."""
  path = _zip(tmp_path / 'x', [('QQ.txt', b'1')])
  path.write_bytes(path.read_bytes().replace(b'QQ', 'ä'.encode()))
  archives.unpack(path, tmp_path / 'new')
  assert _tree(tmp_path / 'new') == {'ä.txt': b'1'}


def test_a_zip_with_backslashes(tmp_path):
  path = _zip(
    tmp_path / 'x', [('train\\cat\\1.jpg', b'1'), ('train\\dog\\', b'')]
  )
  archives.unpack(path, tmp_path / 'new')
  assert _tree(tmp_path / 'new') == {'train/cat/1.jpg': b'1'}
  assert (tmp_path / 'new' / 'train' / 'dog').is_dir()


def _link(target, kind=tarfile.SYMTYPE):
  return {'type': kind, 'linkname': target}


HARD = tarfile.LNKTYPE
EVIL_LINKS = {
  'absolute': [('l', _link('/etc/passwd'))],
  'up': [('l', _link('../x'))],
  'up from a folder': [('a/l', _link('../../x'))],
  'up later': [('a/l', _link('b/../../../x'))],
  'up behind a link': [('a/l', _link('.')), ('x', _link('a/l/../..'))],
  'by a link': [('l', _link('.')), ('l/l2', _link('../x'))],
  'file by a link': [
    ('a/', {'type': tarfile.DIRTYPE}),
    ('l', _link('a')),
    ('l/x', b'1'),
  ],
  'file over a link': [('l', _link('x')), ('l', b'1')],
  'folder over a link': [
    ('a/x', b''),
    ('l', _link('a')),
    ('l', {'type': tarfile.DIRTYPE}),
  ],
  'hard absolute': [('l', _link('/etc/passwd', HARD))],
  'hard up': [('l', _link('../x', HARD))],
  'hard by a link': [('x', b''), ('l', _link('x')), ('h', _link('l', HARD))],
  'drive': [('l', _link('C:/x'))],
  'backslash': [('l', _link('..\\x'))],
  'fifo': [('l', {'type': tarfile.FIFOTYPE})],
  'device': [('l', {'type': tarfile.CHRTYPE, 'devmajor': 1, 'devminor': 3})],
  'block': [('l', {'type': tarfile.BLKTYPE})],
  'folder itself': [('.', b'1')],
  'deep': [('a/' * 101 + 'b', b'1')],
}


@pytest.mark.parametrize('members', EVIL_LINKS.values(), ids=EVIL_LINKS)
@pytest.mark.parametrize('second_opinion', [True, False])
def test_evil_tars(tmp_path, refused, members, second_opinion, monkeypatch):
  if not second_opinion:  # as in a Python without filters
    monkeypatch.delattr(tarfile, 'data_filter', raising=False)
  (tmp_path / 'out' / '..' / 'x').resolve().write_text('mine')
  path = _tar(tmp_path / 'evil.tar', [('good', b'1'), *members])
  text = refused(path)
  assert ascii(members[-1][0])[:50] in text
  assert 'It could do harm' in text
  assert (tmp_path / 'x').read_text() == 'mine'


def test_links_inside(tmp_path):
  path = _tar(
    tmp_path / 'x',
    [
      ('a/b', b'1'),
      ('a/l', _link('b')),
      ('c/l', _link('../a/b')),
      ('d', _link('a')),
      ('h', _link('./a/b', HARD)),
    ],
  )
  archives.unpack(path, tmp_path / 'new')
  new = tmp_path / 'new'
  assert {
    str(p.relative_to(new)): os.readlink(p)
    for p in new.rglob('*')
    if p.is_symlink()
  } == {'a/l': 'b', 'c/l': '../a/b', 'd': 'a'}
  assert (new / 'h').samefile(new / 'a' / 'b')
  assert (new / 'd' / 'l').read_bytes() == b'1'


def test_a_hard_link_to_nothing(tmp_path, refused):
  path = _tar(tmp_path / 'x', [('h', _link('none', HARD))])
  assert 'damaged' in refused(path)


def _zip_info(name, mode):
  info = zipfile.ZipInfo(name)
  info.create_system, info.external_attr = 3, mode << 16
  return info


@pytest.mark.parametrize(
  'mode, data, inside',
  [
    (stat.S_IFLNK | 0o777, b'good', True),
    (stat.S_IFLNK | 0o777, b'../good', False),
    (stat.S_IFLNK | 0o777, b'/etc/passwd', False),
    (stat.S_IFLNK | 0o777, b'x' * 5000, False),
    (stat.S_IFCHR | 0o777, b'', False),
    (stat.S_IFIFO | 0o777, b'', False),
  ],
)
def test_links_in_a_zip(tmp_path, refused, mode, data, inside):
  path = _zip(tmp_path / 'x', [('good', b'1'), (_zip_info('l', mode), data)])
  if inside:
    archives.unpack(path, tmp_path / 'new')
    assert os.readlink(tmp_path / 'new' / 'l') == 'good'
  else:
    text = refused(path)
    assert "'l'" in text and 'It could do harm' in text


@pytest.mark.parametrize('kind', KINDS)
def test_cut_short(tmp_path, refused, kind):
  rng = random.Random(0)
  files = {str(i): rng.randbytes(700) for i in range(20)}
  data = _archive(tmp_path / 'x', kind, files).read_bytes()
  end = len(data)
  if kind == 'tar':  # after the first block of zeros, it is complete
    end = len(data.rstrip(b'\0')) // 512 * 512 + 512
  for at in {1000, 1024, 2048, end // 2, end // 1024 * 1024, end - 1, end - 5}:
    (tmp_path / 'x').write_bytes(data[:at])
    assert re.search(
      r'damaged.*Download or copy it again', refused(tmp_path / 'x')
    ), at


@pytest.mark.parametrize('kind', ['zip', 'tar.gz', 'tar.bz2', 'tar.xz'])
def test_a_flipped_bit(tmp_path, kind):
  """Either a sentence, or just what was packed: never other data."""
  rng = random.Random(1)
  files = {
    'a': rng.randbytes(500),
    'b/c': b'text ' * 200,
    'd': rng.randbytes(100),
  }
  path = _archive(tmp_path / 'x', kind, files)
  data, refusals = path.read_bytes(), 0
  for _ in range(60):
    broken = bytearray(data)
    broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(broken)
    try:
      archives.unpack(path, tmp_path / 'new')
    except ValueError as error:
      assert str(path) in str(error)
      assert os.listdir(tmp_path) == ['x']
      refusals += 1
    else:  # a time or a right, or a name: these have no checksum in a zip
      assert sorted(_tree(tmp_path / 'new').values()) == sorted(files.values())
      shutil.rmtree(tmp_path / 'new')
  assert refusals > 30


def test_a_damaged_header_in_a_tar(tmp_path, refused):
  path = _tar(tmp_path / 'x', [('a', b'1'), ('b', b'2'), ('c', b'3')])
  data = bytearray(path.read_bytes())
  data[1024 + 100] ^= 1
  path.write_bytes(data)
  assert 'damaged' in refused(path)


def test_encrypted(tmp_path, refused):
  path = _zip(tmp_path / 'x', [('a', b'1')])
  data = bytearray(path.read_bytes())
  for magic, at in ((b'PK\x03\x04', 6), (b'PK\x01\x02', 8)):
    data[data.index(magic) + at] |= 1
  path.write_bytes(data)
  assert 'is encrypted' in refused(path)


def test_an_unknown_compression(tmp_path, refused):
  path = _zip(tmp_path / 'x', [('a', b'1')])
  data = bytearray(path.read_bytes())
  for magic, at in ((b'PK\x03\x04', 8), (b'PK\x01\x02', 10)):
    data[data.index(magic) + at] = 97
  path.write_bytes(data)
  assert 'with another program' in refused(path)


@pytest.mark.parametrize('kind', ['zip', 'tar.gz'])
def test_more_than_there_is_room_for(tmp_path, refused, kind, monkeypatch):
  path = _archive(
    tmp_path / 'x', kind, {'a': bytes(600_000), 'b': bytes(500_000)}
  )
  monkeypatch.setattr(
    archives.shutil,
    'disk_usage',
    lambda _: types.SimpleNamespace(free=1_000_000),
  )
  text = refused(path)
  assert '1,100,000 bytes' in text and '1,000,000 free' in text
  monkeypatch.undo()
  archives.unpack(path, tmp_path / 'new')


@pytest.mark.parametrize('kind', ['zip', 'tar.gz', 'tar.bz2', 'tar.xz'])
def test_more_than_is_allowed(tmp_path, refused, kind, monkeypatch):
  """By the flag; without it a floor, or many times the archive's size."""
  path = _archive(
    tmp_path / 'x', kind, {'a': bytes(600_000), 'b': bytes(500_000)}
  )
  packed = os.path.getsize(path)
  assert packed < 11_000
  for floor, ratio, words in (
    (1_099_999, 1, '1,099,999 are allowed'),
    (1, 20, f'{20 * packed:,} are allowed'),
  ):
    monkeypatch.setattr(archives, '_FLOOR', floor)
    monkeypatch.setattr(archives, '_RATIO', ratio)
    text = refused(path)
    assert words in text and f'x has {packed:,} bytes and unpacks to ' in text
    assert '--max_unpacked_bytes' in text
  archives.unpack(path, tmp_path / 'new', most_bytes=1_100_000)
  monkeypatch.setattr(archives, '_FLOOR', 1_100_000)
  archives.unpack(path, tmp_path / 'newer')


@pytest.mark.parametrize('first', [True, False])
def test_a_header_that_is_too_large(tmp_path, refused, first):
  """tarfile would keep it in memory."""
  with tarfile.open(tmp_path / 'x', 'w:gz', format=tarfile.PAX_FORMAT) as file:
    if not first:
      file.addfile(tarfile.TarInfo('a'))
    info = tarfile.TarInfo('b')
    info.pax_headers = {'comment': 'x' * (1 << 24)}
    file.addfile(info)
  words = 'is no archive' if first else 'has a header of more than 16,777,216'
  assert words in refused(tmp_path / 'x')


def test_an_end_without_end(tmp_path, refused):
  """Zeros behind the last member, which are read for the checksum."""
  path = tmp_path / 'x'
  _tar(tmp_path / 'tar', [('a', b'1')])
  path.write_bytes(
    gzip.compress((tmp_path / 'tar').read_bytes() + bytes(20_000_000))
  )
  with pytest.raises(ValueError, match='max_unpacked_bytes'):
    archives.unpack(path, tmp_path / 'out', most_bytes=100_000)
  archives.unpack(path, tmp_path / 'out')


@pytest.mark.parametrize('kind', ['zip', 'tar'])
def test_a_full_disk(tmp_path, kind, monkeypatch):
  path = _archive(tmp_path / 'x', kind)

  def full(*_):
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(archives.shutil, 'copyfileobj', full)
  with pytest.raises(ValueError) as caught:
    archives.unpack(path, tmp_path / 'new')
  assert f'The disk of {tmp_path / "new"} is full' in str(caught.value)
  assert 'Make room' in str(caught.value) and os.listdir(tmp_path) == ['x']


def test_a_folder_that_cannot_be_made(tmp_path):
  (tmp_path / 'file').write_text('x')
  with pytest.raises(ValueError, match='Writing to .*file/new failed'):
    archives.unpack(_archive(tmp_path / 'x', 'zip'), tmp_path / 'file/new')


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
  def interrupt(*_):
    raise KeyboardInterrupt

  monkeypatch.setattr(archives.shutil, 'copyfileobj', interrupt)
  with pytest.raises(KeyboardInterrupt):
    archives.unpack(_archive(tmp_path / 'x', 'tar'), tmp_path / 'new')
  assert os.listdir(tmp_path) == ['x']


class _Bar:
  def __init__(self, *arguments):
    self.arguments, self.done, self.open = arguments, 0, None

  def __enter__(self):
    self.open = True
    return self

  def __exit__(self, *_):
    self.open = False

  def update(self, n):
    assert self.open and n >= 0
    self.done += n


@pytest.mark.parametrize('kind', KINDS)
def test_progress(tmp_path, kind):
  bars = []
  path = _archive(tmp_path / 'x', kind)

  def progress(*arguments):
    bars.append(_Bar(*arguments))
    return bars[-1]

  archives.unpack(path, tmp_path / 'new', progress)
  total = (
    sum(map(len, FILES.values())) if kind == 'zip' else os.path.getsize(path)
  )
  (bar,) = bars
  assert bar.arguments == (total, 0, 'Unpacking x')
  assert bar.done == total and bar.open is False
