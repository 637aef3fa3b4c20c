"""All that can be told of an exported model, without its runtime."""

import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from engine.common import files
from engine.common.variables import some
from engine.export import opening, parity

_SHOWN = 5  # names in a line


def describe(path: str) -> dict[str, Any]:
  """Returns what is known of an exported model.

  Args:
    path: its folder, a file in it, or a folder with it alone.

  Returns:
    path: its folder.
    What model.json says.
    parity: what parity.json says, {} without one.
    files: the sizes of its files in bytes, by name.

  Raises:
    ValueError: there is none, or several; the sentence says what to do.
  """
  folder = opening.find(
    path if os.path.isdir(path) else os.path.dirname(path) or '.', 'PATH'
  )
  told = opening.describe(folder)
  root = pathlib.Path(folder)
  return {
    'path': folder,
    **told,
    'parity': files.read_json(os.path.join(folder, parity.FILENAME)),
    'files': {
      str(file.relative_to(root)): file.stat().st_size
      for file in sorted(root.rglob('*'))
      if file.is_file()
    },
  }


def kind_of(told: Mapping[str, Any]) -> str:
  """Returns such as 'tflite in int8'."""
  return f'{told["format"]} in {told["quantize"] or "float32"}'


def _tensor(told):
  """Returns such as 'float32 [any, 10]'."""
  sides = ['any' if side is None else str(side) for side in told['shape']]
  return f'{told["dtype"]} [{", ".join(sides)}]'


def _measures(measured):
  """Returns what was measured of an output, in words."""
  return ', '.join(
    f'{name.replace("_", " ")} '
    + (f'{value:.1e}' if name == 'error' else f'{value:.2%}')
    for name, value in measured.items()
  )


def lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
  """Yields what `describe` returned, as (what, value) for people."""
  names, step = told['class_names'], told['step']
  yield 'format', kind_of(told)
  yield 'task', told['task']
  yield 'network', told['model_name']
  yield (
    'classes',
    f'{len(names):,}: {some(names, _SHOWN)}'
    if names
    else 'no logits, features only',
  )
  yield 'labels_offset', str(told['labels_offset'])
  averages = ', moving averages of the weights' * told['moving_averages']
  at = 'an unknown step' if step is None else f'step {step:,}'
  yield 'checkpoint', f'{told["checkpoint"]}, of {at}{averages}'
  given = told['input']
  yield 'input', f'{given["kind"]}, {_tensor(given)}: {given["values"]}'
  yield 'preprocessing', told['preprocessing']
  for name, output in told['outputs'].items():
    yield 'output', f'{name}, {_tensor(output)}'
  for name, measured in told['parity'].get('outputs', {}).items():
    examples = told['parity']['examples']
    yield (
      'parity',
      f'{name}, over {examples:,} examples: {_measures(measured)}',
    )
  yield (
    'made with',
    ', '.join(f'{name} {of}' for name, of in told['versions'].items()),
  )
  yield 'size', f'{sum(told["files"].values()):,} bytes'
