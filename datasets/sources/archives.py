"""Archives unpacked: all of one or nothing, and nowhere but in its folder.

Members are written here and not by tarfile or zipfile: every version of
Python then does the same, and rights, owners and devices never come along.
"""

import bz2
import contextlib
import errno
import functools
import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from datasets.files import disk_errors
from datasets.progress import no_progress

_CHUNK = 1 << 18
_DEEPEST = 100  # folders in folders
# What an archive may unpack to: this many bytes, or times its own size.
_FLOOR, _RATIO = 10**9, 100
_HEADER = 1 << 24  # bytes of a member's name and the like
_PACKERS = {b'\x1f\x8b': gzip.open, b'BZh': bz2.open, b'\xfd7zXZ\0': lzma.open}
_UNSAFE = 'It could do harm: get the archive from where it was made.'
_PACK = 'Rename it, and pack the archive again.'


class _Refused(ValueError):
  """A member or archive that is not unpacked, whatever is tried."""


class _Member(NamedTuple):
  """What is the same in all kinds of archives.

  Attributes:
    name: as the archive has it, for sentences.
    path: the same as a path of '/'.
    kind: 'file', 'folder', 'link' (symbolic) or 'same' (a hard link).
    size: of the unpacked file in bytes.
    open: opens the file for reading.
    target: of a link.
  """

  name: str
  path: str
  kind: str
  size: int = 0
  open: Callable[[], BinaryIO] | None = None
  target: str = ''


class _Reader:
  """A file that remembers what was read last, and is not read without end.

  What tarfile reads at once besides the members' content it keeps in memory.
  """

  def __init__(self, archive, file, most):
    self._archive, self._file, self._most = archive, file, most
    self.last, self._count = b'', 0
    self.seek, self.tell = file.seek, file.tell

  def read(self, size=-1):
    if not 0 <= size <= _HEADER:
      raise _Refused(
        f'{self._archive} has a header of more than {_HEADER:,} bytes. '
        f'{_UNSAFE}'
      )
    self.last = self._file.read(size)
    self._count += len(self.last)
    _check_size(self._archive, self._count, self._most)
    return self.last


def _unpacked(file):
  """Returns the bytes in `file`, which may be compressed."""
  start = file.read(6)
  file.seek(0)
  for magic, packer in _PACKERS.items():
    if start.startswith(magic):
      return packer(file)
  return file


def _is_tar(path):
  try:
    with open(path, 'rb') as file:
      return tarfile.is_tarfile(_Reader(path, _unpacked(file), _HEADER))
  except Exception:  # damaged, in one of the ways of four modules
    return False


def _is_zip(path):
  with open(path, 'rb') as file:
    if file.read(4) == b'PK\x03\x04':  # all that is left of one cut short
      return True
    return zipfile.is_zipfile(file)


def is_archive(path: str | os.PathLike) -> bool:
  """Whether the file's content is a zip or a tar, compressed or not.

  Raises:
    ValueError: the file cannot be read.
  """
  try:  # a tar that ends with a zip looks like a zip, so tar is asked first
    return os.path.isfile(path) and (_is_tar(path) or _is_zip(path))
  except OSError as error:
    raise ValueError(f'{path} cannot be read: {error.strerror}.') from error


def _check_size(archive, size, most):
  if size > most:
    packed = os.path.getsize(archive)
    raise _Refused(
      f'{archive} has {packed:,} bytes and unpacks to {size:,} or more, and '
      f'{most:,} are allowed. If you trust its origin, pass a larger '
      '--max_unpacked_bytes.'
    )


def _check_space(archive, folder, size, free):
  if size > free:
    raise _Refused(
      f'{archive} unpacks to {size:,} bytes or more, and the disk of '
      f'{os.path.dirname(folder)} has {free:,} free. Make room, or choose '
      'another disk.'
    )


def _text(archive, name):
  """Returns the name of a member, decoded."""
  try:
    text = name.decode() if isinstance(name, bytes) else name
    text.encode()  # tarfile makes surrogates of other bytes
  except UnicodeError:
    raise _Refused(
      f'{archive}: the name of its member {ascii(name)} is not UTF-8. {_PACK}'
    ) from None
  if '\n' in text or '\0' in text:
    raise _Refused(
      f'{archive}: the name of its member {ascii(name)} has a '
      f'line break or NUL. {_PACK}'
    )
  return text


def _zip_member(archive, file, info):
  mode = info.external_attr >> 16
  name = info.orig_filename
  if not info.flag_bits & 0x800:  # many programs write UTF-8 nevertheless
    name = name.encode('cp437')
  name = _text(archive, name)
  if info.flag_bits & 1:
    raise _Refused(
      f'{archive} is encrypted (its member {ascii(name)}). '
      'Unpack it with its password, and give the folder.'
    )
  path = name.replace('\\', '/')  # some programs of Windows
  if path.endswith('/') or stat.S_ISDIR(mode):
    return _Member(name, path, 'folder')
  if stat.S_ISLNK(mode):
    target = _text(archive, file.read(info)) if info.file_size < 4096 else '/'
    return _Member(name, path, 'link', target=target)
  kind = 'file' if stat.S_IFMT(mode) in (0, stat.S_IFREG) else 'device'
  return _Member(
    name, path, kind, info.file_size, functools.partial(file.open, info)
  )


def _zip_members(archive, folder, most, progress) -> Iterator[_Member]:
  with zipfile.ZipFile(archive) as file:
    size = sum(info.file_size for info in file.infolist())
    _check_size(archive, size, most)
    _check_space(archive, folder, size, shutil.disk_usage(folder).free)
    with progress(size, 0, f'Unpacking {os.path.basename(archive)}') as bar:
      for info in file.infolist():
        yield _zip_member(archive, file, info)
        bar.update(info.file_size)


def _tar_member(archive, file, info, folder):
  name, target = _text(archive, info.name), _text(archive, info.linkname)
  if hasattr(tarfile, 'data_filter'):  # a second opinion
    try:
      tarfile.data_filter(info, folder)
    except tarfile.FilterError as error:
      raise _Refused(
        f'{archive} has a member that is not safe, '
        f'{ascii(name)}: {error}. {_UNSAFE}'
      ) from None
  for kind, is_kind in (
    ('folder', info.isdir()),
    ('link', info.issym()),
    ('same', info.islnk()),
  ):
    if is_kind:
      return _Member(name, name, kind, target=target)
  return _Member(
    name,
    name,
    'file' if info.isreg() else 'device',
    info.size,
    functools.partial(file.extractfile, info),
  )


def _tar_members(archive, folder, most, progress) -> Iterator[_Member]:
  free = shutil.disk_usage(folder).free
  with (
    open(archive, 'rb') as packed,
    progress(
      os.path.getsize(archive), 0, f'Unpacking {os.path.basename(archive)}'
    ) as bar,
  ):
    # The headers and the end of a tar are read besides.
    reader = _Reader(archive, _unpacked(packed), 2 * most + _HEADER)
    size, done = 0, 0
    with tarfile.open(
      fileobj=reader, mode='r:', encoding='utf-8', errors='surrogateescape'
    ) as file:
      while info := file.next():
        file.members = []  # else it keeps all of them
        size += info.size
        _check_size(archive, size, most)
        _check_space(archive, folder, size, free)
        yield _tar_member(archive, file, info, folder)
        bar.update(packed.tell() - done)
        done = packed.tell()
      if reader.last != bytes(tarfile.BLOCKSIZE):
        raise EOFError('tarfile takes any end for the end of the archive')
      while reader.read(_CHUNK):  # the checksum comes last
        pass
      bar.update(packed.tell() - done)


def _parts(archive, name, path):
  """Returns the parts of a member's path, which stay in a folder."""
  parts = [part for part in path.split('/') if part not in ('', '.')]
  if (
    path[:1] in ('/', '\\')
    or re.match('[A-Za-z]:', path)
    or '..' in re.split(r'[/\\]', path)
  ):
    raise _Refused(
      f'{archive} has a member outside of its folder, {ascii(name)}. {_UNSAFE}'
    )
  if len(parts) > _DEEPEST:
    raise _Refused(
      f'{archive} has a member in more than {_DEEPEST} folders, '
      f'{ascii(name[:50])}... {_UNSAFE}'
    )
  return parts


def _check_link(archive, member, parts):
  """Refuses a link that leads, or could lead, out of the folder.

  '..' are allowed at the beginning only, where no other link precedes them.
  """
  target = member.target.replace('\\', '/')
  steps = [step for step in target.split('/') if step not in ('', '.')]
  up = next((i for i, step in enumerate(steps) if step != '..'), len(steps))
  if (
    target[:1] in ('/', '')
    or re.match('[A-Za-z]:', target)
    or up >= len(parts)
    or '..' in steps[up:]
  ):
    raise _Refused(
      f'{archive} has a link out of its folder, {ascii(member.name)} to '
      f'{ascii(member.target)}. {_UNSAFE}'
    )


class _Writer:
  """Writes members into a folder that was empty."""

  def __init__(self, archive, folder):
    self._archive, self._folder = archive, folder

  def _path(self, member, path):
    """Returns where a member is put; never a link, nor by way of one."""
    parts = _parts(self._archive, member.name, path)
    place = self._folder
    for part in parts:
      place = os.path.join(place, part)
      if os.path.islink(place):
        raise _Refused(
          f'{self._archive} has a member that is reached by a '
          f'link, {ascii(member.name)}. {_UNSAFE}'
        )
    return parts, place

  def write(self, member):
    parts, place = self._path(member, member.path)
    if member.kind == 'folder':
      return os.makedirs(place, exist_ok=True)
    if member.kind == 'device' or not parts:
      raise _Refused(
        f'{self._archive} has a member that is neither a file '
        f'nor a folder, {ascii(member.name)}. {_UNSAFE}'
      )
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):  # the last of a name wins
      os.remove(place)
    if member.kind == 'file':
      with member.open() as source, open(place, 'xb') as target:
        return shutil.copyfileobj(source, target, _CHUNK)
    if member.kind == 'link':
      _check_link(self._archive, member, parts)
      return os.symlink(member.target, place)
    _, original = self._path(member, member.target)
    if not os.path.isfile(original):
      raise EOFError('a hard link to what does not precede it')
    return os.link(original, place)


def _unpack(archive, folder, most, progress):
  members = _tar_members if _is_tar(archive) else _zip_members
  writer = _Writer(archive, folder)
  try:
    # A generator that is not closed holds the file until it is collected.
    with contextlib.closing(members(archive, folder, most, progress)) as found:
      for member in found:
        writer.write(member)
  except _Refused:
    raise
  except UnicodeDecodeError as error:  # zipfile reads all names at once
    _text(archive, error.object)
  except RuntimeError as error:  # an encryption or a method it does not know
    raise ValueError(
      f'{archive} cannot be unpacked here: {error}. Unpack it '
      'with another program, and give the folder.'
    ) from error
  except Exception as error:
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
      raise  # of the disk; damage has no number
    raise ValueError(
      f'{archive} is damaged or cut short ({error}). Download or copy it again.'
    ) from error


def _check(path, folder):
  if not os.path.isfile(path):
    raise ValueError(f'There is no file {path} to be unpacked.')
  if not is_archive(path):
    raise ValueError(
      f'{path} is no archive (zip, tar, tar.gz, tar.bz2 or '
      'tar.xz), or is damaged. Download or copy it again.'
    )
  if os.path.exists(folder) and not (
    os.path.isdir(folder) and not os.listdir(folder)
  ):
    raise ValueError(
      f'{folder} should be a new or an empty folder, to unpack '
      f'{path} to. Choose another, or delete it.'
    )


def unpack(
  path: str | os.PathLike,
  folder: str | os.PathLike,
  progress: Callable | None = None,
  most_bytes: int | None = None,
) -> None:
  """Unpacks a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz, whatever its name.

  The folder appears whole or not at all.

  Args:
    path: the archive.
    folder: new or empty.
    progress: as in `download.fetch`.
    most_bytes: that it unpacks to; None for a gigabyte, or a hundred times
      its size if that is more.

  Raises:
    ValueError: no archive, a damaged or an encrypted one, one with a member
      that would leave the folder, one that unpacks to too much, or no room.
  """
  path, folder = os.fspath(path), os.path.realpath(folder)
  _check(path, folder)
  parent, name = os.path.split(folder)
  most = most_bytes or max(_FLOOR, _RATIO * os.path.getsize(path))
  with disk_errors(folder, 'Make room, and run the same command again.'):
    os.makedirs(parent, exist_ok=True)
    unfinished = tempfile.mkdtemp(prefix=name + '-', dir=parent)
    try:
      _unpack(path, unfinished, most, progress or no_progress)
      os.chmod(unfinished, 0o755)  # mkdtemp makes it private
      if os.path.isdir(folder):  # it is empty; Windows replaces none
        os.rmdir(folder)
      os.rename(unfinished, folder)
    finally:
      shutil.rmtree(unfinished, ignore_errors=True)
