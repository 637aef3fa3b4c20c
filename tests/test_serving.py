"""docs/export.md, "Serving": what stands there runs, as it stands there.

Servers of the tests take the place of TensorFlow Serving: they read requests as
it does, and ask the exported SavedModel.
"""

import base64
import concurrent.futures
import contextlib
import http.server
import importlib.util
import io
import json
import os
import pathlib
import threading

import numpy as np
import pytest
import tensorflow as tf

import export_inference_graph
from engine.config.export import FORMATS
from engine.export import parity, standalone
from tests import builders

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / 'docs' / 'export.md').read_text('utf-8')
HAS_ONNX = all(map(importlib.util.find_spec, FORMATS['onnx'].modules))


@pytest.fixture(scope='module')
def out(colours_run, tmp_path_factory):
  """The folder of a SavedModel and, if it can be made, of ONNX."""
  folder = tmp_path_factory.mktemp('out')
  formats = ['saved_model', 'onnx'] if HAS_ONNX else ['saved_model']
  with pytest.MonkeyPatch.context() as patch:
    builders.register_tiny_networks(patch.setitem)
    patch.setattr(parity, 'run_alone', lambda *_: [])  # it is tested elsewhere
    patch.setattr(parity, 'compare', lambda *_: {})
    printed = builders.call(
      export_inference_graph,
      checkpoint_path=colours_run.folder,
      output_dir=folder,
      format=','.join(formats),
    )
  assert printed.status == 0, printed.err
  return folder


@pytest.fixture(autouse=True)
def image(tmp_path, monkeypatch):
  """A blue image, a.jpg, in the current folder."""
  monkeypatch.chdir(tmp_path)
  builders.colour_image(2, 77, size=32).save('a.jpg', quality=95)


def block(words):
  """The code on the page that has these words, without its indent."""
  found = [
    code for code in PAGE.split('```')[1::2] if words in code.splitlines()
  ]
  assert len(found) == 1
  return found[0]


def run(code):
  """Runs code; returns what it prints."""
  printed = io.StringIO()
  with contextlib.redirect_stdout(printed):
    exec(compile(code, 'docs/export.md', 'exec'), {})
  return printed.getvalue()


def at(code, port, address):
  """The code with another address than the page's."""
  assert code.count(port) == 1
  return code.replace(port, address)


def decoded(value):
  """The bytes that JSON has, as TensorFlow Serving takes them."""
  assert list(value) == ['b64']
  return base64.b64decode(value['b64'], validate=True)


class Rest(http.server.BaseHTTPRequestHandler):
  """Answers a request for rows, as TensorFlow Serving's REST API does."""

  def do_POST(self):
    assert self.path == '/v1/models/digits:predict'
    body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
    assert list(body) == ['instances']
    outputs = self.server.model([decoded(each) for each in body['instances']])
    columns = {
      # Outputs whose names do not end in _bytes are text.
      name: np.char.decode(values.astype(bytes)).tolist()
      if values.dtype == object
      else values.tolist()
      for name, values in outputs.items()
    }
    rows = [
      dict(zip(columns, row, strict=True))
      for row in zip(*columns.values(), strict=True)
    ]
    data = json.dumps({'predictions': rows}).encode()
    self.send_response(200)
    self.send_header('Content-Length', str(len(data)))
    self.end_headers()
    self.wfile.write(data)

  def log_message(self, *arguments):
    pass


def test_rest(out):
  code = block('import urllib.request')
  with http.server.HTTPServer(('127.0.0.1', 0), Rest) as server:
    server.model = standalone.Model(out / 'saved_model')
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    address = '{}:{}'.format(*server.server_address)
    printed = run(at(code, 'localhost:8501', address))
    thread.join()
  name, share = printed.split()
  assert name == 'blue' and 0 < float(share) <= 1


def test_grpc(out):
  apis = pytest.importorskip(
    'tensorflow_serving.apis', reason='needs tensorflow-serving-api'
  )
  assert apis
  import grpc
  from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

  model = standalone.Model(out / 'saved_model')

  class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def Predict(self, request, context):
      assert request.model_spec.name == 'digits'
      assert list(request.inputs) == ['input']
      given = request.inputs['input']
      assert given.dtype == tf.string.as_datatype_enum
      answer = predict_pb2.PredictResponse()
      for name, values in model([*tf.make_ndarray(given)]).items():
        answer.outputs[name].CopyFrom(tf.make_tensor_proto(values))
      return answer

  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    server = grpc.server(pool)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
      Service(), server
    )
    port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    try:
      code = block('import grpc')
      printed = run(at(code, 'localhost:8500', f'127.0.0.1:{port}'))
    finally:
      server.stop(None).wait()
  name, share = printed.split()
  assert name == 'blue' and 0 < float(share) <= 1


@pytest.mark.skipif(not HAS_ONNX, reason='needs the extra export')
def test_onnx_runtime(out):
  os.symlink(out / 'onnx' / 'model.onnx', 'model.onnx')
  name, share = run(block('import onnxruntime')).split()
  assert name == 'blue' and 0 < float(share) <= 1


def test_the_copy_beside_a_model(out, monkeypatch):
  os.symlink(out / 'saved_model', 'saved_model')
  monkeypatch.syspath_prepend(pathlib.Path(standalone.__file__).parent)
  assert "b'blue'" in run(block('from standalone import Model'))
