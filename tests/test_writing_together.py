"""Results that several processes and threads write at one time.

Each is there in whole whenever it is read, and nothing is left beside it.
"""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from datasets.images import contact_sheet, overlays
from engine.common import files
from engine.tasks.segmentation.image_files import write_mask
from metrics import reports

ROOT = pathlib.Path(__file__).parents[1]
ROWS, SIDE = 200, 40
IMAGE = np.zeros((SIDE, SIDE, 3), np.uint8)
MASK = np.zeros((SIDE, SIDE), np.uint8)


def _png(file, **_):
  Image.fromarray(IMAGE).save(file, 'png')


def _is_table(path):
  return len(path.read_text().splitlines()) == ROWS + 1


def _is_image(path):
  with Image.open(path) as image:
    return image.convert('RGB').size >= (SIDE, SIDE)


# name: what writes it, what says whether it is whole.
KINDS = {
  'table.csv': (
    lambda path: reports.write_table(path, 'ab', [[1, 2]] * ROWS),
    _is_table,
  ),
  'eval.json': (
    lambda path: files.write_json(path, {'values': [0.5] * ROWS}),
    lambda path: len(json.loads(path.read_text())['values']) == ROWS,
  ),
  # Drawing is Matplotlib's; a figure of another kind is faster.
  'curves.png': (
    lambda path: reports.save_figure(types.SimpleNamespace(savefig=_png), path),
    _is_image,
  ),
  'mask.png': (lambda path: write_mask(path, MASK, 3), _is_image),
  'overlays.png': (
    lambda path: overlays.draw(
      path, [overlays.Row(IMAGE, [MASK], 'a')], ['a', 'b', 'c'], cell=SIDE
    ),
    _is_image,
  ),
  'worst_mistakes.png': (
    lambda path: contact_sheet.draw(path, [contact_sheet.Shown(IMAGE, 'a')]),
    _is_image,
  ),
}
# A process that writes tables until it is told to stop.
OTHER = f"""
import sys, threading
from metrics import reports
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set())).start()
print('writing', flush=True)
while not stop.is_set():
  reports.write_table(sys.argv[1], 'ab', [[1, 2]] * {ROWS})
"""


@pytest.mark.parametrize('name', KINDS)
def test_threads(tmp_path, name):
  path = tmp_path / name
  write, is_whole = KINDS[name]
  write(path)

  def work(_):
    write(path)
    return is_whole(path)

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert all(pool.map(work, range(40)))
  assert os.listdir(tmp_path) == [name]


@pytest.mark.slow
def test_processes(tmp_path):
  folder = tmp_path / 'tables'
  folder.mkdir()
  path = folder / 'table.csv'
  write, is_whole = KINDS['table.csv']
  with subprocess.Popen(
    [sys.executable, '-c', OTHER, path],
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
  ) as other:
    assert other.stdout.readline() == b'writing\n'
    for _ in range(100):
      write(path)
      assert is_whole(path)
    other.stdin.close()
    assert other.wait(60) == 0
  assert os.listdir(folder) == ['table.csv']
