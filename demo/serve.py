"""Serves a page on which the browser itself runs an exported model.

  python -m demo.serve --model=runs/resnet_v2_101-digits

It listens to this machine alone. Nothing is sent back: the page fetches the
model, and images stay in the browser.
"""

import dataclasses
import functools
import http.server
import json
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from datasets.images import overlays
from engine.common import console, logs
from engine.common.loading import load
from engine.config import flags
from engine.config.export import ExportConfig
from engine.config.fields import Config, option
from engine.export import standalone

HERE = pathlib.Path(__file__).parent
RUNTIME = HERE / 'node_modules' / 'onnxruntime-web' / 'dist'
RUNTIME_FILES = (
  'ort.wasm.min.mjs',
  'ort-wasm-simd-threaded.mjs',
  'ort-wasm-simd-threaded.wasm',
)
ADDRESS = '127.0.0.1'
SHOWN = ('probabilities', 'classes')  # outputs that the page shows, one of them
TYPES = {  # by the end of a file's name
  '.html': 'text/html; charset=utf-8',
  '.json': 'application/json',
  '.mjs': 'text/javascript',
  '.onnx': 'application/octet-stream',
  '.wasm': 'application/wasm',
}
HEADERS = {
  'Cache-Control': 'no-store',  # the model may be another one tomorrow
  'X-Content-Type-Options': 'nosniff',
  # The page can reach nothing but this server.
  'Content-Security-Policy': (
    "default-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob: data:"
  ),
  # WebAssembly has threads on pages that are isolated from others.
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}


@dataclasses.dataclass(frozen=True)
class DemoConfig(Config):
  """Serves a page on which the browser runs a model on images."""

  examples = ('--model=runs/resnet_v2_101-digits',)

  model: str = option(
    'runs/resnet_v2_101-digits',
    'A run, which is exported as ONNX if it was not yet, or the folder of a '
    'model that was exported.',
    folder=True,
  )
  port: int = option(8000, 'Where the page is.', low=1, high=65535)


class Resource(NamedTuple):
  """What stands at an address of the server.

  Fields:
    type: as HTTP tells it.
    read: returns its bytes.
  """

  type: str
  read: Callable[[], bytes]


def described(folder: str) -> dict[str, Any]:
  """Returns what model.json says, and the colours of classes.

  Raises:
    ValueError: there is no model, or none that the page can run.
  """
  told = standalone.describe(folder)
  if told['format'] != 'onnx':
    wrong = f'is of the format {told["format"]}, and browsers run ONNX'
  elif told['input']['kind'] != 'image':
    wrong = f'takes {told["input"]["kind"]} input, and the page has images'
  elif not set(SHOWN) & set(told['outputs']):
    wrong = f'puts out {", ".join(told["outputs"])}, which nothing shows'
  else:
    colours = overlays.palette(len(told['class_names']))
    return {
      **told,
      'shown': next(name for name in SHOWN if name in told['outputs']),
      'colours': [f'#{bytes(colour).hex()}' for colour in colours],
    }
  raise ValueError(
    f'The model in {folder} {wrong}. Export it again, with --format=onnx and '
    '--input=image, and without --end_point.'
  )


def exported(path: str) -> str:
  """Returns the folder of a model; exports a run that has newer checkpoints.

  Args:
    path: of a run, or of the folder of a model.

  Raises:
    ValueError: there is neither.
  """
  if os.path.isfile(os.path.join(path, standalone.DESCRIPTION)):
    return path
  checkpoint = os.path.join(path, 'checkpoint')
  if not os.path.isfile(checkpoint):
    raise ValueError(
      f'There is neither a run nor an exported model in {path}. make train '
      'makes runs/resnet_v2_101-digits; another is named with --model, or by '
      'make demo MODEL=runs/RUN.'
    )
  folder = os.path.join(path, 'export', 'onnx')
  told = os.path.join(folder, standalone.DESCRIPTION)
  if not os.path.isfile(told) or (
    os.path.getmtime(told) < os.path.getmtime(checkpoint)
  ):
    with logs.stderr_hidden(-1):  # TensorFlow is imported for this alone
      export = load('engine.export.exporter:export')
    export(ExportConfig(checkpoint_path=path, format=('onnx',)))
  return folder


def resources(folder: str) -> dict[str, Resource]:
  """Returns all that is served, by address."""
  model = pathlib.Path(folder, standalone.FILES['onnx'])
  paths = {
    '/': HERE / 'index.html',
    '/model.onnx': model,
    **{f'/runtime/{name}': RUNTIME / name for name in RUNTIME_FILES},
  }
  missing = [str(path) for path in paths.values() if not path.is_file()]
  if model.is_file() and missing:
    raise ValueError(
      f'{missing[0]} is not there. This installs what the page needs: npm ci '
      '--prefix demo --ignore-scripts'
    )
  if missing:
    raise ValueError(f'{model} is not there: export the model again.')
  return {
    '/model.json': Resource(
      TYPES['.json'], lambda: json.dumps(described(folder)).encode()
    ),
    **{
      address: Resource(TYPES[path.suffix], path.read_bytes)
      for address, path in paths.items()
    },
  }


class Handler(http.server.BaseHTTPRequestHandler):
  """Answers with a resource, and with nothing that is not in the table."""

  def __init__(self, served: Mapping[str, Resource], *arguments: Any):
    self._served = served
    super().__init__(*arguments)

  def do_GET(self) -> None:
    """Sends what stands at the address."""
    found = self._served.get(self.path.partition('?')[0])
    if found is None:
      self._send(404, 'text/plain', b'There is no such page.')
      return
    try:
      data = found.read()
    except (OSError, ValueError) as error:
      self._send(500, 'text/plain', console.explain(error).encode())
    else:
      self._send(200, found.type, data)

  def _send(self, status, kind, data):
    self.send_response(status)
    self.send_header('Content-Type', kind)
    self.send_header('Content-Length', str(len(data)))
    for header, value in HEADERS.items():
      self.send_header(header, value)
    self.end_headers()
    try:
      self.wfile.write(data)
    except ConnectionError:  # the page was left
      self.close_connection = True

  def log_message(self, *arguments: Any) -> None:
    """Says nothing."""


def server(folder: str, port: int) -> http.server.ThreadingHTTPServer:
  """Returns a server of the page and a model, which listens already.

  Args:
    folder: of the model.
    port: 0 for any that is free.

  Raises:
    ValueError: something is missing, or the port is taken.
  """
  described(folder)
  handler = functools.partial(Handler, resources(folder))
  try:
    return http.server.ThreadingHTTPServer((ADDRESS, port), handler)
  except OSError as error:
    raise ValueError(
      f'--port={port} cannot be had ({error.strerror}): name another, such as '
      '--port=8001, or by make demo PORT=8001.'
    ) from None


def serve(config: DemoConfig) -> None:
  """Serves until it is interrupted."""
  with server(exported(config.model), config.port) as serving:
    console.say(
      f'The page is at http://{ADDRESS}:{config.port}/ until Ctrl-C is pressed.'
    )
    serving.serve_forever()


def main(argv: list[str] | None = None) -> int:
  """Serves as the flags say; returns the exit status."""
  return flags.run(DemoConfig, 'demo.serve:serve', argv)


if __name__ == '__main__':
  sys.exit(main())
