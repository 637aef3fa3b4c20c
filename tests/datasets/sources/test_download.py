"""Downloads: resumed, checked, and never half a file under the final name."""

import errno
import fcntl
import hashlib
import http.server
import json
import os
import random
import re
import socket
import threading

import pytest

from datasets.sources import download
from datasets.sources.download import Download

DATA = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
PART = 100_000


def facts_match(headers, server):
  """Whether a request is for no more than what has changed."""
  for name, value in (
    ('If-None-Match', server.etag),
    ('If-Modified-Since', server.modified),
  ):
    if name in headers:
      return headers[name] == value
  return False


class _Handler(http.server.BaseHTTPRequestHandler):
  """Serves `server.data`, in the way that the server's other fields say."""

  protocol_version = 'HTTP/1.1'

  def log_message(self, *_):
    pass

  def _answer(self, status, body=b'', **headers):
    self.send_response(status)
    for name, value in headers.items():
      if value is not None:
        self.send_header(name.replace('_', '-'), value)
    self.end_headers()
    self.wfile.write(body)

  def do_GET(self):  # noqa: N802
    server = self.server
    server.requests.append(dict(self.headers))
    if server.statuses:
      status = server.statuses.pop(0)
      if status != 200:
        return self._answer(status, Content_Length='0')
    start = self._start()
    if server.conditions and facts_match(self.headers, server):
      return self._answer(304)
    if server.changes:
      server.data, server.etag = server.changes.pop(0)
    facts = {
      'ETag': server.etag,
      'Last_Modified': server.modified,
      **server.headers,
    }
    total = len(server.data)
    if start is None:
      body, status = server.data, 200
    elif start >= total:
      return self._answer(
        416, Content_Length='0', Content_Range=f'bytes */{total}'
      )
    else:
      body, status = server.data[start:], 206
      facts['Content_Range'] = (
        f'bytes {start + server.shift}-{total - 1}/{total}'
      )
    facts.setdefault('Content_Length', str(len(body)))
    cut = server.cuts.pop(0) if server.cuts else None
    self._answer(status, body[:cut], **facts)
    if cut is not None:
      self.close_connection = True
    if server.stalls:
      server.stalls.pop().wait(5)

  def _start(self):
    """The first byte asked for; None for the whole file."""
    asked, same = self.headers.get('Range'), self.headers.get('If-Range')
    if asked is None or not self.server.ranges:
      return None
    if self.server.if_range and same not in (
      None,
      self.server.etag,
      self.server.modified,
    ):
      return None
    return int(re.fullmatch(r'bytes=(\d+)-', asked)[1])


@pytest.fixture
def server(monkeypatch):
  for name in ('NO_PROXY', 'no_proxy'):
    monkeypatch.setenv(name, '127.0.0.1')
  monkeypatch.setattr(download, '_WAITS', (0, 0, 0))
  monkeypatch.setattr(download, '_CHUNK', 1000)
  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler) as new:
    new.daemon_threads = True
    new.data, new.etag, new.modified = DATA, '"one"', None
    new.requests, new.statuses, new.cuts = [], [], []
    new.changes, new.stalls, new.headers = [], [], {}
    new.ranges, new.if_range, new.shift = True, True, 0
    new.conditions = True
    new.url = f'http://127.0.0.1:{new.server_port}/some/data%20set.zip'
    thread = threading.Thread(target=new.serve_forever, args=(0.01,))
    thread.start()
    yield new
    new.shutdown()
    thread.join()


@pytest.fixture
def folder(tmp_path):
  return tmp_path / 'new' / 'folder'


def _checksum(data=DATA, name='sha256'):
  return f'{name}:{hashlib.new(name, data).hexdigest()}'


def _files(folder):
  return sorted(os.listdir(folder)) if folder.exists() else []


def _fails(*arguments):
  with pytest.raises(ValueError) as caught:
    download.fetch(*arguments)
  return str(caught.value)


def _is_done(folder, data=DATA):
  assert _files(folder) == ['data set.zip', 'data set.zip.json']
  assert (folder / 'data set.zip').read_bytes() == data


def _start(server, folder, monkeypatch):
  """Leaves a part of PART bytes, as a lost connection does."""
  server.cuts = [PART]
  with monkeypatch.context() as patch:
    patch.setattr(download, '_WAITS', ())
    text = _fails(Download(server.url), folder)
  server.requests.clear()
  assert _files(folder) == ['data set.zip.part', 'data set.zip.part.json']
  part = (folder / 'data set.zip.part').read_bytes()
  assert PART - 1000 <= len(part) <= PART and DATA.startswith(part)
  return text, len(part)


class _Bar:
  def __init__(self, total, initial, description):
    self.total, self.initial, self.text = total, initial, description
    self.done, self.open = 0, None

  def __enter__(self):
    self.open = True
    return self

  def __exit__(self, *_):
    self.open = False

  def update(self, n):
    assert self.open
    self.done += n


@pytest.fixture
def bars():
  """A list of the bars that were made; its `progress` makes them."""

  class Bars(list):
    def progress(self, *arguments):
      self.append(_Bar(*arguments))
      return self[-1]

  return Bars()


def test_is_url():
  for text in ('http://a/b', 'https://a', 'file:///a', 'HTTPS://A/b'):
    assert download.is_url(text)
  for text in (
    '',
    'a',
    '/a/http://b',
    'ftp://a',
    'http:/a',
    'C:\\a',
    'gs://a',
    'digits',
    ' http://a',
  ):
    assert not download.is_url(text)


class _Said(list):
  """What `fetch` tells."""

  def fetch(self, url, folder):
    self.clear()
    return download.fetch(Download(url), folder, say=self.append)


@pytest.mark.parametrize('conditions', [True, False])
@pytest.mark.parametrize(
  'etag, modified',
  [
    ('"one"', None),
    ('W/"weak"', 'Sat, 01 Jan 2000 00:00:00 GMT'),
    (None, 'Sat, 01 Jan 2000 00:00:00 GMT'),
  ],
)
def test_a_file_is_asked_for_again(server, folder, etag, modified, conditions):
  """Also of a server that knows no conditions; and is told of."""
  server.conditions, server.etag, server.modified = conditions, etag, modified
  said = _Said()
  path = said.fetch(server.url, folder)
  assert said == [f'Downloading {server.url}.']
  assert said.fetch(server.url, folder) == path
  assert said == [f'Using {path}, which was downloaded before.']
  assert server.requests[1].get('If-None-Match') == etag
  assert server.requests[1].get('If-Modified-Since') == modified
  server.data = OTHER
  server.etag, server.modified = etag and '"two"', modified and 'Mon, 03'
  said.fetch(server.url, folder)
  assert said == [f'Downloading {server.url}.']
  _is_done(folder, OTHER)


def test_a_server_that_says_nothing_of_a_file(server, folder):
  server.etag = None
  download.fetch(Download(server.url), folder)
  server.data = OTHER  # of the same size
  download.fetch(Download(server.url), folder)
  _is_done(folder, OTHER)


@pytest.mark.parametrize('status', [None, 404, 503])
def test_a_server_that_cannot_be_asked(server, folder, status):
  said = _Said()
  path = said.fetch(server.url, folder)
  if status:
    server.statuses = [status]
  else:
    server.shutdown()
    server.server_close()
  assert said.fetch(server.url, folder) == path
  assert f'Whether {server.url} has changed is unknown: ' in said[0]
  assert (str(status) if status else 'Connection refused') in said[0]
  assert said[1] == f'Using {path}, which was downloaded before.'
  _is_done(folder)


@pytest.mark.parametrize(
  'facts', [None, b'', b'[]', b'{}', b'\xff', b'[' * 9999, b'other', b'size']
)
def test_a_file_of_unknown_origin(server, folder, facts):
  """It was not downloaded, not by this version, or is cut off."""
  download.fetch(Download(server.url), folder)
  path = folder / 'data set.zip.json'
  known = path.read_bytes()
  path.unlink()
  if facts is not None:
    path.write_bytes(
      {b'other': known.replace(b'some', b'else'), b'size': known}.get(
        facts, facts
      )
    )
  (folder / 'data set.zip').write_bytes(OTHER[: len(facts or b'') + 1])
  download.fetch(Download(server.url), folder)
  _is_done(folder)


@pytest.mark.parametrize('ending', ['', '.part'])
@pytest.mark.parametrize('wrong', ['pipe', 'type'])
def test_facts_that_are_none(server, folder, ending, wrong):
  """They are not waited for, and not believed."""
  download.fetch(Download(server.url), folder)
  (folder / f'data set.zip{ending}').write_bytes(OTHER)
  path = folder / f'data set.zip{ending}.json'
  if wrong == 'pipe':
    path.unlink(missing_ok=True)
    os.mkfifo(path)
  else:
    path.write_text(
      json.dumps(
        {'url': server.url, 'size': [1], 'etag': None, 'modified': None}
      )
    )
  if ending:
    (folder / 'data set.zip').unlink()
  download.fetch(Download(server.url), folder)
  _is_done(folder)


def test_an_old_file_whose_checksum_is_known(server, folder):
  folder.mkdir(parents=True)
  (folder / 'data set.zip').write_bytes(DATA)
  download.fetch(Download(server.url, None, _checksum()), folder)
  assert server.requests == []


def test_folders_of_addresses():
  urls = [
    f'http://a/{part}/images.zip{end}' for part in 'xy' for end in ('', '?')
  ]
  assert len({download.folder_of(url) for url in urls}) == 4


@pytest.mark.parametrize('size', [None, len(DATA)])
@pytest.mark.parametrize('name', [None, 'md5', 'sha256'])
def test_fetch(server, folder, size, name):
  checksum = name and _checksum(name=name).upper().replace(name.upper(), name)
  path = download.fetch(Download(server.url, size, checksum), str(folder))
  assert path == str(folder / 'data set.zip')
  _is_done(folder)
  (request,) = server.requests
  assert 'Range' not in request and request['Accept-Encoding'] == 'identity'


def test_an_empty_file(server, folder):
  server.data = b''
  download.fetch(Download(server.url), folder)
  _is_done(folder, b'')


def test_not_twice(server, folder, bars):
  it = Download(server.url, len(DATA), _checksum())
  for _ in range(2):
    download.fetch(it, folder, bars.progress)
  assert len(server.requests) == 1
  _is_done(folder)
  assert [bar.text for bar in bars] == [
    'data set.zip',
    'Checking data set.zip',
    'Checking data set.zip',
  ]


@pytest.mark.parametrize(
  'size, checksum, words',
  [
    (7, None, 'has 300,000 bytes, and should have 7'),
    (None, _checksum(OTHER), _checksum()[7:]),
  ],
)
def test_a_wrong_file_is_not_touched(server, folder, size, checksum, words):
  download.fetch(Download(server.url), folder)
  text = _fails(Download(server.url, size, checksum), folder)
  assert words in text and str(folder / 'data set.zip') in text
  assert server.url in text and 'Delete it' in text
  _is_done(folder)


def test_resume(server, folder, bars, monkeypatch):
  text, kept = _start(server, folder, monkeypatch)
  assert server.url in text and f'{kept:,} bytes are kept' in text
  assert 'the same command resumes' in text and '--source=FILE' in text
  it = Download(server.url, len(DATA), _checksum())
  download.fetch(it, folder, bars.progress)
  (request,) = server.requests
  assert request['Range'] == f'bytes={kept}-'
  assert request['If-Range'] == '"one"'
  _is_done(folder)
  assert [
    (bar.total, bar.initial, bar.done, bar.text, bar.open) for bar in bars
  ] == [
    (300_000, kept, 300_000 - kept, 'data set.zip', False),
    (300_000, 0, 300_000, 'Checking data set.zip', False),
  ]


def test_lost_connections_within_one_call(server, folder, bars):
  server.cuts = [90_000, 0, 0, 90_000, 0, 0, 60_000]
  download.fetch(Download(server.url), folder, bars.progress)
  _is_done(folder)
  assert len(server.requests) == 8  # more than there are tries in a row
  assert sum(bar.done for bar in bars) == 300_000
  assert {bar.total for bar in bars} == {300_000}


@pytest.mark.parametrize(
  'etag, modified, sent',
  [
    (None, 'Sat, 01 Jan 2000 00:00:00 GMT', 'Sat, 01 Jan 2000 00:00:00 GMT'),
    (
      'W/"weak"',
      'Sat, 01 Jan 2000 00:00:00 GMT',
      'Sat, 01 Jan 2000 00:00:00 GMT',
    ),
    ('W/"weak"', None, None),
    (None, None, None),
  ],
)
def test_other_validators(server, folder, monkeypatch, etag, modified, sent):
  server.etag, server.modified = etag, modified
  _, kept = _start(server, folder, monkeypatch)
  download.fetch(Download(server.url), folder)
  assert server.requests[0].get('If-Range') == sent
  assert server.requests[0]['Range'] == f'bytes={kept}-'
  _is_done(folder)


@pytest.mark.parametrize('if_range', [True, False])
def test_a_file_that_changed(server, folder, monkeypatch, if_range):
  """Also where the server does not know If-Range."""
  _start(server, folder, monkeypatch)
  server.data, server.etag, server.if_range = OTHER, '"two"', if_range
  download.fetch(Download(server.url), folder)
  _is_done(folder, OTHER)


def test_a_file_that_changed_its_size(server, folder, monkeypatch):
  server.etag = None
  _start(server, folder, monkeypatch)
  server.data = OTHER[:-1]
  download.fetch(Download(server.url), folder)
  _is_done(folder, OTHER[:-1])


def test_a_file_that_changes_between_tries(server, folder):
  server.cuts = [PART]
  server.changes = [(DATA, '"one"'), (OTHER, '"two"')]
  download.fetch(Download(server.url), folder)
  _is_done(folder, OTHER)


def test_no_ranges(server, folder, monkeypatch):
  _start(server, folder, monkeypatch)
  server.ranges = False
  download.fetch(Download(server.url), folder)
  assert 'Range' in server.requests[0] and len(server.requests) == 1
  _is_done(folder)


def test_a_rest_from_elsewhere(server, folder, monkeypatch):
  _start(server, folder, monkeypatch)
  server.shift = 5
  download.fetch(Download(server.url), folder)
  assert ['Range' in request for request in server.requests] == [True, False]
  _is_done(folder)


@pytest.mark.parametrize(
  'there, requests', [(DATA, 1), (DATA + b'x', 2)], ids=['complete', 'too long']
)
def test_nothing_is_missing(server, folder, monkeypatch, there, requests):
  """The server answers 416."""
  _start(server, folder, monkeypatch)
  (folder / 'data set.zip.part').write_bytes(there)
  download.fetch(Download(server.url, None, _checksum()), folder)
  assert len(server.requests) == requests
  _is_done(folder)


@pytest.mark.parametrize(
  'facts',
  [None, b'', b'[]', b'{}', b'\xff', b'{"url": "http://another/data set.zip"}'],
)
def test_a_part_of_unknown_origin(server, folder, monkeypatch, facts):
  _start(server, folder, monkeypatch)
  path = folder / 'data set.zip.part.json'
  path.unlink()
  if facts is not None:
    path.write_bytes(facts)
  (folder / 'data set.zip.part').write_bytes(OTHER[:PART])
  download.fetch(Download(server.url), folder)
  assert 'Range' not in server.requests[0]
  _is_done(folder)


def test_a_part_of_another_address(server, folder, monkeypatch):
  _start(server, folder, monkeypatch)
  download.fetch(Download(server.url + '?v=2'), folder)
  assert 'Range' not in server.requests[0]
  _is_done(folder)


@pytest.mark.parametrize('known', [True, False])
def test_a_wrong_size(server, folder, known):
  if not known:  # before all of it has come
    server.headers = {'Content_Length': None, 'Connection': 'close'}
  text = _fails(Download(server.url, 300_001), folder)
  assert server.url in text and '300,000' in text and '300,001' in text
  assert '--source=FILE' in text and _files(folder) == []


@pytest.mark.parametrize('name', ['md5', 'sha256'])
def test_a_wrong_checksum(server, folder, name):
  text = _fails(Download(server.url, None, _checksum(OTHER, name)), folder)
  for words in (
    server.url,
    *(_checksum(data, name).partition(':')[2] for data in (DATA, OTHER)),
    '--source=FILE',
  ):
    assert words in text
  assert _files(folder) == []


def test_a_broken_part(server, folder, monkeypatch):
  """Is found by the checksum, and the next call has the right file."""
  _start(server, folder, monkeypatch)
  with open(folder / 'data set.zip.part', 'r+b') as file:
    file.write(b'\0')
  it = Download(server.url, None, _checksum())
  assert 'the same' not in _fails(it, folder) and _files(folder) == []
  download.fetch(it, folder)
  _is_done(folder)


@pytest.mark.parametrize(
  'checksum', ['md5:12', 'sha1:' + '0' * 40, '0' * 32, 'md5:' + 'g' * 32]
)
def test_a_checksum_that_is_none(server, folder, checksum):
  assert repr(checksum) in _fails(Download(server.url, None, checksum), folder)
  assert server.requests == []


def test_a_content_length_that_is_too_large(server, folder):
  server.headers = {'Content_Length': '300001', 'Connection': 'close'}
  text = _fails(Download(server.url), folder)
  assert server.url in text and 'tries' in text
  assert 'data set.zip' not in _files(folder)


@pytest.mark.parametrize(
  'status, words',
  [
    (404, '404 Not Found'),
    (403, '403 Forbidden'),
    (401, '401'),
    (410, '410'),
    (416, '416'),
  ],
)
def test_a_status_that_stays(server, folder, status, words):
  server.statuses = [status]
  text = _fails(Download(server.url), folder)
  assert words in text and server.url in text and 'Check the address' in text
  assert len(server.requests) == 1 and _files(folder) == []


@pytest.mark.parametrize('status', [500, 502, 503, 504, 429, 408])
def test_a_status_that_passes(server, folder, status):
  server.statuses = [status, status]
  download.fetch(Download(server.url), folder)
  assert len(server.requests) == 3
  _is_done(folder)


def test_a_status_that_does_not_pass(server, folder, monkeypatch):
  _, kept = _start(server, folder, monkeypatch)
  server.statuses = [503] * 9
  text = _fails(Download(server.url), folder)
  assert '503 Service Unavailable' in text and '4 tries' in text
  assert f'{kept:,} bytes are kept' in text and len(server.requests) == 4


def test_the_waits(server, folder, monkeypatch):
  waits = []
  monkeypatch.setattr(download, '_WAITS', (3, 5, 7))
  monkeypatch.setattr(download.time, 'sleep', waits.append)
  server.statuses, server.cuts = [500, 500, 200], [PART]
  download.fetch(Download(server.url), folder)
  assert waits == [3, 5, 3]


def test_a_server_that_says_nothing(server, folder, monkeypatch):
  monkeypatch.setattr(download, '_TIMEOUT', (0.2, 0.2))
  stalled = threading.Event()
  server.cuts, server.stalls = [PART], [stalled]
  download.fetch(Download(server.url), folder)
  stalled.set()
  assert 'Range' in server.requests[1]
  _is_done(folder)


def test_no_server(server, folder):
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    url = f'http://127.0.0.1:{free.getsockname()[1]}/a.zip'
  text = _fails(Download(url), folder)
  assert url in text and 'Connection refused' in text and '0 bytes' in text
  assert '--source=FILE' in text and _files(folder) == []


def test_an_encoding_is_not_undone(server, folder):
  """Some servers send a .tar.gz as a .tar that is encoded."""
  server.data = b'\x1f\x8b' + DATA
  server.headers = {'Content_Encoding': 'x-gzip'}
  download.fetch(Download(server.url), folder)
  _is_done(folder, b'\x1f\x8b' + DATA)


def test_a_length_that_is_not_said(server, folder, bars):
  server.headers = {'Content_Length': None, 'Connection': 'close'}
  download.fetch(Download(server.url, None, _checksum()), folder, bars.progress)
  _is_done(folder)
  assert bars[0].total is None and bars[0].done == 300_000


def test_redirected_to_nowhere(server, folder):
  server.statuses, server.headers = [302], {}
  text = _fails(Download(server.url), folder)  # without a Location
  assert '302' in text and _files(folder) == []


@pytest.mark.parametrize(
  'url',
  [
    'https://a',
    'https://a/',
    'https://a/b/',
    'https://a/..',
    'https://a/b/.',
    'https://a/%2e%2e',
    'https://a/b%2Fc',
    'https://a/b%5Cc',
    'https://a/b%00c',
    'https://a/b%0Ac',
    'https://a/?x=b',
    'http://[x/a.zip',
    'file:///',
  ],
)
def test_an_address_without_a_name(folder, url):
  text = _fails(Download(url), folder)
  assert url in text and 'name of a file' in text
  assert not folder.exists()


@pytest.mark.parametrize('url', ['', 'a.zip', 'ftp://a/b.zip', 'gs://a/b.zip'])
def test_no_address(folder, url):
  assert 'is not an address' in _fails(Download(url), folder)


class _Full:
  """A file on a disk that is full after the first bytes."""

  def __init__(self, file, room):
    self._file, self._room = file, room
    self.fileno, self.flush = file.fileno, file.flush
    self.truncate = file.truncate

  def write(self, data):
    self._room -= len(data)
    if self._room < 0:
      raise OSError(errno.ENOSPC, 'No space left on device')
    return self._file.write(data)


def test_a_full_disk(server, folder, monkeypatch):
  real, url = download._Part, server.url
  with monkeypatch.context() as patch:
    patch.setattr(
      download,
      '_Part',
      lambda path, url, file: real(path, url, _Full(file, PART)),
    )
    text = _fails(Download(url), folder)
  assert f'The disk of {folder} is full' in text and 'Make room' in text
  assert (folder / 'data set.zip.part').stat().st_size == PART
  server.requests.clear()
  download.fetch(Download(url), folder)
  assert [request['Range'] for request in server.requests] == [f'bytes={PART}-']
  _is_done(folder)


def test_a_folder_that_is_none(server, tmp_path):
  (tmp_path / 'file').write_text('x')
  text = _fails(Download(server.url), tmp_path / 'file' / 'new')
  assert 'Writing to' in text and str(tmp_path / 'file') in text


def test_an_interrupt_keeps_the_part(server, folder):
  class Stop(_Bar):
    def update(self, n):
      super().update(n)
      if self.done >= PART:
        raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    download.fetch(Download(server.url), folder, Stop)
  kept = (folder / 'data set.zip.part').stat().st_size
  assert kept == PART and 'data set.zip' not in _files(folder)
  download.fetch(Download(server.url), folder)
  assert server.requests[-1]['Range'] == f'bytes={kept}-'
  _is_done(folder)


def test_another_process(server, folder, monkeypatch):
  _start(server, folder, monkeypatch)
  before = json.loads((folder / 'data set.zip.part.json').read_text())
  with open(folder / 'data set.zip.part', 'ab') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    text = _fails(Download(server.url + '?v=2'), folder)
  assert 'by another process' in text and server.requests == []
  assert json.loads((folder / 'data set.zip.part.json').read_text()) == before
  download.fetch(Download(server.url), folder)
  _is_done(folder)


def test_two_at_a_time(server, folder):
  """One of them may be told to wait; the file is right in any case."""
  texts = []

  def fetch():
    try:
      download.fetch(Download(server.url, None, _checksum()), folder)
    except ValueError as error:
      texts.append(str(error))

  threads = [threading.Thread(target=fetch) for _ in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(texts) < 4 and all('another process' in text for text in texts)
  _is_done(folder)


@pytest.mark.parametrize('host', ['', 'localhost'])
def test_a_file_of_this_machine(folder, tmp_path, bars, host):
  (tmp_path / 'data set.zip').write_bytes(DATA)
  url = (tmp_path / 'data set.zip').as_uri().replace('://', f'://{host}')
  it = Download(url, len(DATA), _checksum())
  assert download.fetch(it, folder, bars.progress) == (
    str(tmp_path / 'data set.zip')
  )
  assert [bar.text for bar in bars] == ['Checking data set.zip']
  assert not folder.exists()


@pytest.mark.parametrize(
  'size, checksum', [(7, None), (None, _checksum(OTHER))]
)
def test_a_wrong_file_of_this_machine(folder, tmp_path, size, checksum):
  (tmp_path / 'a.zip').write_bytes(DATA)
  url = (tmp_path / 'a.zip').as_uri()
  assert url in _fails(Download(url, size, checksum), folder)
  assert _files(folder) == [] and (tmp_path / 'a.zip').exists()


@pytest.mark.parametrize(
  'url', ['file:///none/a.zip', 'file://host/etc/passwd', 'file:///etc']
)
def test_no_file_of_this_machine(folder, url):
  text = _fails(Download(url), folder)
  assert url in text and 'not a file of this machine' in text
  assert _files(folder) == []


def test_the_first_digits_of_a_checksum(server, folder):
  """As torchvision's names of files have them; and a cure of one's own."""
  right = Download(server.url, checksum=_checksum()[:15])
  path = download.fetch(right, folder)
  assert download.fetch(right, folder) == path
  wrong = right._replace(checksum='sha256:01234567', otherwise='call someone')
  said = _fails(wrong, folder / 'other')
  assert 'and should have 01234567' in said
  assert said.endswith('if that does not help, call someone.')
  assert 'should be' in _fails(right._replace(checksum='sha256:01'), folder)
