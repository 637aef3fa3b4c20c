"""Published weights of the tiny networks, on a server of this machine."""

import hashlib
import http.server
import pathlib
import re
import tarfile
import threading
import types

import pytest

from datasets.sources import download
from engine.checkpoints import pretrained
from nets.catalogue import pretrained_table
from nets.catalogue.pretrained_table import Hash, Pretrained
from tests import builders

HOST = 'weights.example.org'


class _Handler(http.server.SimpleHTTPRequestHandler):
  """Serves a folder; a file from the byte on that is asked for."""

  def log_message(self, *_):
    pass

  def do_GET(self):  # noqa: N802
    self.server.requests.append((self.path, self.headers.get('Range')))
    path = pathlib.Path(self.translate_path(self.path))
    if not path.is_file():
      return self.send_error(404)
    data = path.read_bytes()
    start = int(re.sub(r'\D', '', self.headers.get('Range', '0')))
    self.send_response(206 if start else 200)
    if start:
      self.send_header(
        'Content-Range', f'bytes {start}-{len(data) - 1}/{len(data)}'
      )
    self.send_header('Content-Length', str(len(data) - start))
    self.send_header('ETag', '"one"')
    self.end_headers()
    end = self.server.cuts.pop() if self.server.cuts else len(data)
    self.wfile.write(data[start:end])
    return None


@pytest.fixture(scope='session')
def archive(tmp_path_factory) -> pathlib.Path:
  """A tar.gz with a checkpoint of resnet_v1_tiny, as TF-Slim packs them."""
  with builders.shared(tmp_path_factory, 'resnet_v1_tiny.tar.gz') as path:
    if not path.exists():
      with pytest.MonkeyPatch.context() as patch:
        builders.register_tiny_networks(patch.setitem)
        checkpoint = builders.write_released(
          path.parent / 'resnet_v1_tiny.ckpt', 'resnet_v1_tiny', 1000, 1
        )
      with tarfile.open(path, 'w:gz') as file:
        file.add(checkpoint, 'resnet_v1_tiny.ckpt')
  return path


def sha256(path: pathlib.Path) -> Hash:
  """Returns what its publisher would say of a file."""
  return Hash('sha256', hashlib.sha256(path.read_bytes()).hexdigest())


def entry(path: pathlib.Path, **changes) -> Pretrained:
  """Returns what the table would have of a file of resnet_v1_tiny.

  Another preprocessing and size than the network's show that they are taken.
  """
  return Pretrained(
    'resnet_v1_tiny',
    f'http://{HOST}/models/{path.name}',
    sha256(path),
    75.2,
    92.2,
    123_456,
    path.stat().st_size,
    'inception',
    40,
    'Apache-2.0',
  )._replace(**changes)


@pytest.fixture
def publisher(tmp_path_factory, monkeypatch, archive) -> types.SimpleNamespace:
  """A server with the archive, a table that names it, and an empty cache.

  Its fields: folder, what is served; cache, that of the weights; requests,
  the paths asked for and their ranges; cuts, where the next answers end;
  table; stop(), after which there is no network.
  """
  base = tmp_path_factory.mktemp('published')
  folder = base / 'mirror' / HOST / 'models'
  folder.mkdir(parents=True)
  (folder / archive.name).write_bytes(archive.read_bytes())
  table = {'tfslim:resnet_v1_tiny': entry(archive)}
  monkeypatch.setattr(pretrained_table, 'PRETRAINED', table)
  monkeypatch.setattr(download, '_WAITS', (0, 0))
  monkeypatch.setattr(download, '_CHUNK', 100)
  monkeypatch.setenv('NO_PROXY', '127.0.0.1')
  monkeypatch.setattr(pretrained, '_root', lambda: str(base / 'pretrained'))
  builders.register_tiny_networks(monkeypatch.setitem)

  def handler(*arguments):
    return _Handler(*arguments, directory=str(base / 'mirror'))

  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
    server.daemon_threads = True
    server.requests, server.cuts = [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv(
      pretrained.MIRROR, f'http://127.0.0.1:{server.server_port}'
    )

    def stop():
      server.shutdown()
      server.server_close()

    yield types.SimpleNamespace(
      folder=folder,
      cache=base / 'pretrained' / 'tfslim',
      requests=server.requests,
      cuts=server.cuts,
      table=table,
      stop=stop,
    )
    server.shutdown()
    thread.join()
