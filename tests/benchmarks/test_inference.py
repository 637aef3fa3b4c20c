"""The table of competitors, and which of them can be measured."""

import importlib.util
import re

from benchmarks import inference, runtimes
from benchmarks.inference import Measured


def test_the_table():
  ours, native = 'ONNX Runtime, our ONNX', 'ONNX Runtime, native'
  found = inference.table(
    {
      runtimes.SESSION: Measured([2, 4, 4], 1000),
      ours: Measured([1, 2, 4], 500),
      native: Measured([1.5, 3, 6], 400),
    },
    batch=16,
  )
  cells = {
    re.split(r'  +', line)[0]: re.split(r'  +', line)[1:] for line in found[1:]
  }
  assert cells == {
    runtimes.SESSION: ['4.0', '1.00', '1,000', '1.00'],
    ours: ['8.0', '2.00', '1.50', '500', '0.50'],
    native: ['5.3', '1.33', '400', '0.40'],
  }
  assert len({len(line) for line in found}) == 1
  # Without the session, the cells of its columns are empty.
  assert inference.table({ours: Measured([1], 500)}, 1)[1].split()[-1] == '500'


def test_who_is_left_out(monkeypatch, capsys):
  monkeypatch.setattr(
    importlib.util, 'find_spec', lambda name: None if name == 'torch' else name
  )
  dense, classes = runtimes.CASES['dense'], runtimes.CASES['classification']
  assert runtimes.missing(runtimes.SESSION, dense) is None
  assert runtimes.missing(runtimes.KERAS, classes) is None
  assert runtimes.missing(runtimes.KERAS, dense) == 'it has no such network'
  assert 'PyTorch, eager' not in inference._able(runtimes.RIVALS, classes)
  assert (
    'Left out: PyTorch, eager, since torch is not installed.'
    in capsys.readouterr().out.splitlines()
  )


def test_natives_are_competitors_too():
  for name, rival in runtimes.RIVALS.items():
    assert rival.beside is None or rival.beside in runtimes.RIVALS, name
