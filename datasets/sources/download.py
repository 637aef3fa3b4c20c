"""Files fetched from the web: resumed, checked, then given their name.

What has come so far is in NAME.part, and what the server said of the file in
NAME.part.json, so that a later call goes on where this one was stopped. Of a
whole file NAME.json says it: the file is used again if its checksum is right,
or if the server says that it has not changed. Files of this machine are read
where they are.
"""

import contextlib
import hashlib
import json
import os
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import NamedTuple, TypedDict

import requests

from datasets import files, json_files
from datasets.progress import no_progress

try:
  import fcntl
except ImportError:  # Windows
  fcntl = None

_CHUNK = 1 << 16
_TIMEOUT = (10, 60)  # seconds to connect, and between two packets
_WAITS = (1, 2, 4, 8)  # seconds before each further try that brings nothing
_PASSING = (408, 429, 500, 502, 503, 504)  # worth another try


class Download(NamedTuple):
  """A file on the web.

  Attributes:
    url: http, https or file.
    size: in bytes, where it is known.
    checksum: 'md5:HEX' or 'sha256:HEX', where it is known; of a SHA-256 the
      first eight digits or more will do.
    otherwise: what to do where it cannot be downloaded; errors end with it.
  """

  url: str
  size: int | None = None
  checksum: str | None = None
  otherwise: str = 'give a copy of the file with --source=FILE'


class _Cut(Exception):
  """The try brought less than the file; another may bring the rest."""


def is_url(text: str) -> bool:
  """Whether `text` is an address that `fetch` takes: http, https or file."""
  return re.match(r'(https?|file)://', text, re.IGNORECASE) is not None


def _name(url):
  """Returns the last part of the path; '' if it can be no file's name."""
  try:
    name = urllib.parse.urlsplit(url).path.rpartition('/')[2]
  except ValueError:  # an odd [ or ]
    return ''
  name = urllib.parse.unquote(name)
  is_name = name not in ('.', '..') and re.fullmatch(r'[^\0-\x1f/\\:]+', name)
  return name if is_name else ''


def _difference(download, path, progress):
  """Returns what is wrong with a file, or None; the size is the cheap one."""
  size = os.path.getsize(path)
  if download.size not in (None, size):
    return f'has {size:,} bytes, and should have {download.size:,}'
  if download.checksum is None:
    return None
  algorithm, _, expected = download.checksum.lower().partition(':')
  digest = hashlib.new(algorithm, usedforsecurity=False)
  with (
    open(path, 'rb') as file,
    progress(size, 0, f'Checking {_name(download.url)}') as bar,
  ):
    while data := file.read(1 << 20):
      digest.update(data)
      bar.update(len(data))
  if digest.hexdigest().startswith(expected):
    return None
  return f'has the {algorithm} {digest.hexdigest()}, and should have {expected}'


class _Facts(TypedDict):
  """What a server said of a file."""

  url: str
  size: int | None
  etag: str | None
  modified: str | None


def _facts(url, total, headers):
  return _Facts(
    url=url,
    size=total,
    etag=headers.get('ETag'),
    modified=headers.get('Last-Modified'),
  )


def _read_facts(path, url):
  """Returns the facts beside a file; None if they are unknown, or of others."""
  try:
    facts = json_files.read(path + '.json')
    json_files.check(facts, _Facts, 'it')
  except (OSError, ValueError):
    return None
  known = facts.keys() == _Facts.__annotations__.keys() and facts['url'] == url
  return facts if known else None


def tells_of(path: str) -> bool:
  """Whether a file is one that was downloaded, and of which a record tells."""
  return os.path.exists(path + '.json')


class _Part:
  """The unfinished file, and what the server said of it."""

  def __init__(self, path, url, file):
    self.path, self._url, self._file = path, url, file
    self._facts = _read_facts(path, url)
    if self._facts is None:  # of another address, or of another program
      self.clear()

  @property
  def size(self):
    return os.fstat(self._file.fileno()).st_size

  @property
  def total(self):
    return self._facts['size']

  def clear(self):
    self._file.truncate(0)
    self._facts = _facts(self._url, None, {})

  def begin(self, total, headers):
    self.clear()
    self._facts = _facts(self._url, total, headers)
    with files.atomic(self.path + '.json') as file:
      json.dump(self._facts, file)

  def request_headers(self):
    """Returns the headers that ask for the rest, if there is a beginning."""
    if not self.size:
      return {}
    etag, modified = self._facts['etag'] or '', self._facts['modified']
    return {
      'Range': f'bytes={self.size}-',  # a weak ETag is none for a Range
      'If-Range': etag if etag.startswith('"') else modified,
    }

  def resumes(self, start, total, headers):
    """Whether an answer is the rest of this very file."""
    said = _facts(self._url, total, headers)
    return start == self.size and all(
      None in (value, self._facts[key]) or value == self._facts[key]
      for key, value in said.items()
    )

  def append(self, chunks, progress):
    with progress(self.total, self.size, _name(self._url)) as bar:
      for data in chunks:
        self._file.write(data)
        self._file.flush()  # the size is true at any time
        bar.update(len(data))

  def finish(self, path):
    os.fsync(self._file.fileno())
    if fcntl is None:  # Windows renames no open file; others keep the lock
      self._file.close()
    # At no time do facts stand beside a file that they are not of.
    with contextlib.suppress(FileNotFoundError):
      os.remove(path + '.json')
    os.replace(self.path, path)
    os.replace(self.path + '.json', path + '.json')


def _lock(file, path):
  """Whether no other process has the part, nor has just finished it."""
  if fcntl is not None:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      return False
    except OSError:  # a file system without locks
      pass
  return os.path.exists(path) and os.path.samestat(
    os.fstat(file.fileno()), os.stat(path)
  )


@contextlib.contextmanager
def _open_part(path, url):
  """Yields the part of a file; leaves none that is empty or finished."""
  with open(path, 'ab') as file:
    if not _lock(file, path):
      raise ValueError(
        f'{url} is being downloaded by another process, to '
        f'{path}. Wait for it, or end it.'
      )
    try:
      yield _Part(path, url, file)
    finally:
      if not os.path.exists(path) or not os.path.getsize(path):
        for left in (path, path + '.json'):
          with contextlib.suppress(OSError):
            os.remove(left)


def _content_range(headers):
  """Returns (start, total) of 'bytes START-END/TOTAL'; None if not said."""
  match = re.match(
    r'bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)', headers.get('Content-Range', '')
  )
  found = match.groups() if match else (None, None)
  return [number and int(number) for number in found]


def _begin(download, part, total, headers):
  part.begin(total, headers)
  if None not in (total, download.size) and total != download.size:
    part.clear()
    raise ValueError(
      f'{download.url} has {total:,} bytes there, and should '
      f'have {download.size:,}: it is another file now. Check '
      f'the address, or {download.otherwise}.'
    )


def _accept(download, part, response):
  """Prepares the part for an answer's bytes; False if it needs none."""
  status, headers = response.status_code, response.headers
  start, total = _content_range(headers)
  if status == 206 and part.resumes(start, total, headers):
    return True
  if part.size and status in (206, 416):
    if status == 416 and total == part.size and part.total in (None, total):
      return False
    part.clear()
    raise _Cut('the rest of the file does not fit to its beginning')
  if status == 200:
    length = headers.get('Content-Length', '')
    total = int(length) if length.isdecimal() else None
    _begin(download, part, total, headers)
    return True
  said = f'the server answered {status} {response.reason or ""}'.strip()
  if status in _PASSING:
    raise _Cut(said)
  raise ValueError(
    f'{download.url} cannot be downloaded: {said}. Check the '
    f'address, or {download.otherwise}.'
  )


def _try(download, part, progress):
  """Asks once for what is missing, and writes it."""
  # Without identity, and without the pop for servers that send a .tar.gz as
  # an encoded .tar, the bytes would not be those of the file.
  headers = {'Accept-Encoding': 'identity', **part.request_headers()}
  with requests.get(
    download.url, headers=headers, stream=True, timeout=_TIMEOUT
  ) as response:
    response.raw.headers.pop('Content-Encoding', None)
    if not _accept(download, part, response):
      return
    part.append(response.iter_content(_CHUNK), progress)
  if part.total not in (None, part.size):
    raise _Cut(f'it ended after {part.size:,} of {part.total:,} bytes')


def _reason(error):
  """Returns the end of what requests says; the beginning names objects."""
  inner = error.args[0] if error.args else error
  return str(getattr(inner, 'reason', inner)).rpartition(': ')[2]


def _download(download, part, progress):
  """Fills the part, in as many tries as bring something and a few more."""
  most, failures = part.size, 0
  while True:
    try:
      return _try(download, part, progress)
    except _Cut as error:
      reason = str(error)
    except (
      requests.ConnectionError,
      requests.Timeout,
      requests.exceptions.ChunkedEncodingError,
    ) as error:
      reason = _reason(error)
    except requests.RequestException as error:
      raise ValueError(
        f'{download.url} cannot be downloaded: {error}. Check '
        f'the address, or {download.otherwise}.'
      ) from error
    failures = 1 if part.size > most else failures + 1
    most = max(most, part.size)
    if failures > len(_WAITS):
      raise ValueError(
        f'{download.url} could not be downloaded in {failures} tries: '
        f'{reason}. {part.size:,} bytes are kept, and the same command '
        f'resumes. Or {download.otherwise}.'
      )
    time.sleep(_WAITS[failures - 1])


def _is_unchanged(facts, response):
  """Whether an answer is of the file that the facts are of.

  Not every server knows conditions: it may send what is there already.
  """
  if response.status_code == 304:
    return True
  length = response.headers.get('Content-Length', '')
  said = _facts(
    facts['url'], int(length) if length.isdecimal() else None, response.headers
  )
  keys = ['etag'] if said['etag'] or facts['etag'] else ['size', 'modified']
  return all(None is not said[key] == facts[key] for key in keys)


def _is_current(download, path, say):
  """Whether a file that was downloaded is still the one of its address."""
  facts = _read_facts(path, download.url)
  if facts is None or facts['size'] not in (None, os.path.getsize(path)):
    return False
  headers = {
    'Accept-Encoding': 'identity',
    'If-None-Match': facts['etag'],
    'If-Modified-Since': facts['modified'],
  }
  try:
    with requests.get(
      download.url, headers=headers, stream=True, timeout=_TIMEOUT
    ) as response:
      if response.status_code in (200, 304):
        return _is_unchanged(facts, response)
      reason = f'the server answers {response.status_code}'
  except requests.RequestException as error:
    reason = _reason(error)
  say(f'Whether {download.url} has changed is unknown: {reason}.')
  return True


def _local(url):
  """Returns the path of a file:// address."""
  address = urllib.parse.urlsplit(url)
  path = urllib.request.url2pathname(address.path)
  if address.netloc not in ('', 'localhost') or not os.path.isfile(path):
    raise ValueError(
      f'{url} is not a file of this machine. An '
      'address of one looks like file:///folder/images.zip.'
    )
  return path


def _check(download):
  if not is_url(download.url) or '\0' in download.url:
    raise ValueError(
      f'{download.url!r} is not an address: it should begin '
      'with http://, https:// or file://.'
    )
  if not _name(download.url):
    raise ValueError(
      f'{download.url} does not end in the name of a file. It should look '
      f'like https://HOST/images.zip. Or {download.otherwise}.'
    )
  if download.checksum and not re.fullmatch(
    r'md5:[\da-fA-F]{32}|sha256:[\da-fA-F]{8,64}', download.checksum
  ):
    raise ValueError(
      f'The checksum {download.checksum!r} of {download.url} '
      "should be 'md5:' or 'sha256:' and hexadecimal digits."
    )


def _fetch(download, path, progress):
  with _open_part(path + '.part', download.url) as part:
    _download(download, part, progress)
    if wrong := _difference(download, part.path, progress):
      part.clear()
      raise ValueError(
        f'{download.url} is not the file it should be: it {wrong}. It was '
        'deleted. Run the command again; if that does not help, '
        f'{download.otherwise}.'
      )
    part.finish(path)


def folder_of(url: str) -> str:
  """Returns the name of a folder for the file of an address, and no other."""
  return hashlib.sha256(url.encode()).hexdigest()[:16]


def fetch(
  download: Download,
  folder: str | os.PathLike,
  progress: Callable | None = None,
  say: Callable[[str], None] = lambda sentence: None,
) -> str:
  """Returns the path of the complete, checked file; downloads what is missing.

  A file that is there is checked, and a wrong one is not touched. Without a
  checksum the server is asked whether it has changed, and is downloaded again
  if it has; a server that cannot be asked is told of, and the file is used.
  The file of a file:// address is checked where it is.

  Args:
    download: the file.
    folder: where it is put, under the last name of its address.
    progress: called with the bytes of the whole (or None), the bytes that
      are there already and a description; returns a context manager with
      update(n), such as a tqdm.
    say: called with a sentence on what is done.

  Raises:
    ValueError: the file cannot be had, or is not the one it should be.
  """
  _check(download)
  folder, progress = os.fspath(folder), progress or no_progress
  path = os.path.join(folder, _name(download.url))
  if download.url[:5].lower() == 'file:':
    path = _local(download.url)
    if wrong := _difference(download, path, progress):
      raise ValueError(
        f'{download.url} is not the file it should be: it {wrong}. '
        f'Copy it again, or {download.otherwise}.'
      )
    return path
  with files.disk_errors(folder, 'Make room: the same command resumes.'):
    if not os.path.exists(path) or not (
      download.checksum or _is_current(download, path, say)
    ):
      say(f'Downloading {download.url}.')
      os.makedirs(folder, exist_ok=True)
      _fetch(download, path, progress)
      return path
  if wrong := _difference(download, path, progress):
    raise ValueError(
      f'{path} is not {download.url}: it {wrong}. Delete it, '
      'and it is downloaded again.'
    )
  say(f'Using {path}, which was downloaded before.')
  return path
