"""demo/serve.py: what it serves, to whom, and what it refuses."""

import contextlib
import http.client
import json
import os
import pathlib
import threading

import pytest

from demo import serve
from engine.export import exporter
from tests import builders

TOLD = {
  'format': 'onnx',
  'task': 'classification',
  'model_name': 'resnet_v2_tiny',
  'step': 7,
  'input': {'name': 'input', 'kind': 'image', 'shape': [None, 32, 32, 3]},
  'outputs': {'probabilities': {}, 'logits': {}},
  'class_names': ['a', 'b'],
}


def write(folder, **changes):
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'model.json').write_text(json.dumps({**TOLD, **changes}))
  (folder / 'model.onnx').write_bytes(b'a model')
  return str(folder)


@pytest.fixture(autouse=True)
def runtime(tmp_path, monkeypatch):
  """The files of the runtime, without npm."""
  path = tmp_path / 'runtime'
  path.mkdir()
  for name in serve.RUNTIME_FILES:
    (path / name).write_text(name)
  monkeypatch.setattr(serve, 'RUNTIME', path)
  return path


@contextlib.contextmanager
def serving(folder):
  with serve.server(folder, port=0) as server:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
      yield server.server_address
    finally:
      server.shutdown()
      thread.join()


def get(address, path):
  connection = http.client.HTTPConnection(*address, timeout=10)
  with contextlib.closing(connection):
    connection.request('GET', path)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_what_is_served(tmp_path):
  folder = write(tmp_path / 'onnx')
  with serving(folder) as address:
    assert address[0] == '127.0.0.1'
    for path, kind in (
      ('/', 'text/html; charset=utf-8'),
      ('/?a=b', 'text/html; charset=utf-8'),
      ('/model.onnx', 'application/octet-stream'),
      ('/runtime/ort.wasm.min.mjs', 'text/javascript'),
      ('/runtime/ort-wasm-simd-threaded.wasm', 'application/wasm'),
    ):
      status, headers, _ = get(address, path)
      assert (status, headers['Content-Type']) == (200, kind)
      assert headers['Cross-Origin-Opener-Policy'] == 'same-origin'
      assert "default-src 'self'" in headers['Content-Security-Policy']
    status, _, data = get(address, '/model.json')
    told = json.loads(data)
    assert told['shown'] == 'probabilities'
    assert told['colours'] == ['#000000', '#800000']
    # It is read anew, so that a page that is loaded again has what is there.
    write(tmp_path / 'onnx', outputs={'classes': {}})
    assert json.loads(get(address, '/model.json')[2])['shown'] == 'classes'
    (tmp_path / 'onnx' / 'model.onnx').unlink()
    status, _, data = get(address, '/model.onnx')
    assert status == 500 and b'model.onnx' in data


@pytest.mark.parametrize(
  'path',
  [
    '/../serve.py',
    '/runtime/../../serve.py',
    '/runtime/%2e%2e/%2e%2e/package.json',
    '//etc/passwd',
    '/runtime/',
    '/index.html/..',
    'http://elsewhere/etc/passwd',
  ],
)
def test_nothing_else_is_served(path, tmp_path):
  with serving(write(tmp_path / 'onnx')) as address:
    assert get(address, path)[0] == 404


def test_the_page_names_no_other_host():
  page = (serve.HERE / 'index.html').read_text('utf-8')
  assert '//' not in page.replace('  // ', '')


def refused(*words, **flags):
  builders.refused(builders.call(serve, **flags), *words)


def test_refused(tmp_path, runtime):
  refused('neither a run nor an exported model', 'make train', model='runs/x')
  model = tmp_path / 'onnx'
  for changes, words in (
    ({'format': 'tflite'}, ('is of the format tflite', '--format=onnx')),
    (
      {'input': {**TOLD['input'], 'kind': 'preprocessed'}},
      ('takes preprocessed input',),
    ),
    ({'outputs': {'features': {}}}, ('puts out features',)),
  ):
    refused(*words, model=write(model, **changes))
  write(model)
  (model / 'model.onnx').unlink()
  refused('model.onnx is not there: export', model=model)
  write(model)
  refused('--port=0 must be at least 1', model=model, port=0)
  with serving(str(model)) as address:
    refused(f'--port={address[1]} cannot be had', model=model, port=address[1])
  (runtime / serve.RUNTIME_FILES[2]).unlink()
  refused('.wasm is not there', 'npm ci', model=model)


def test_a_run_is_exported_once(tmp_path, monkeypatch):
  """And again where it has a newer checkpoint."""
  exports = []

  def export(given):
    exports.append((given.checkpoint_path, given.format))
    write(pathlib.Path(given.checkpoint_path, 'export', 'onnx'))

  monkeypatch.setattr(exporter, 'export', export)
  run = tmp_path / 'run'
  run.mkdir()
  (run / 'checkpoint').write_text('')
  for _ in range(2):
    assert serve.exported(str(run)) == str(run / 'export' / 'onnx')
  assert exports == [(str(run), ('onnx',))]
  os.utime(run / 'checkpoint', (2e9, 2e9))
  serve.exported(str(run))
  assert len(exports) == 2
  assert serve.exported(str(run / 'export' / 'onnx')).endswith('onnx')
