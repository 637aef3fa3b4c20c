"""Whether the workers of a cluster mean the same, before they begin."""

import contextlib
import hashlib
import os
import pathlib
import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from engine.replicas import workers

_PACKAGES = (
  'datasets',
  'deployment',
  'engine',
  'metrics',
  'nets',
  'preprocessing',
)
_PATIENCE = 10.0  # seconds until a file that another machine wrote is seen
_TOKEN = '.workers'


def software() -> dict[str, str]:
  """Returns the versions that decide what a worker computes."""
  root = pathlib.Path(__file__).parents[2]
  digest = hashlib.sha256()
  for package in _PACKAGES:
    for path in sorted((root / package).rglob('*.py')):
      digest.update(path.relative_to(root).as_posix().encode())
      digest.update(path.read_bytes())
  return {
    'the code of this project': digest.hexdigest()[:12],
    'TensorFlow': tf.__version__,
    'NumPy': np.__version__,
    'Python': '.'.join(map(str, sys.version_info[:2])),
  }


def check(facts: Mapping[str, Any], cure: str) -> None:
  """Returns if all workers give the same facts.

  Args:
    facts: what JSON holds, by its name for people.
    cure: what to do, a sentence.

  Raises:
    ValueError: on all workers; names one that differs from the chief, and how.
  """
  chief, *others = workers.current().gather_json(dict(facts))
  for i, other in enumerate(others, 1):
    differing = [
      f'{name} {_shown(other.get(name))}, not {_shown(chief.get(name))}'
      for name in dict.fromkeys([*chief, *other])
      if other.get(name) != chief.get(name)
    ]
    if differing:
      raise ValueError(
        f'Worker {i} has {"; ".join(differing)} as worker 0, the chief, has: '
        f'{cure}'
      )


def _shown(value):
  return 'none' if value is None else str(value)


def check_shared(folder: str, flag: str) -> None:
  """Returns if all workers see the folder that the chief writes to.

  Args:
    folder: as this worker names it.
    flag: that names it.

  Raises:
    ValueError: on all workers; names those that do not see it.
  """
  together = workers.current()
  if together.count == 1:
    return
  path, token = os.path.join(folder, _TOKEN), uuid.uuid4().hex
  if together.is_chief:
    pathlib.Path(path).write_text(token)
  token = together.gather_json(token)[0]
  seen = together.gather_json(_appears(path, token))
  if together.is_chief:
    with contextlib.suppress(OSError):
      os.remove(path)
  blind = [str(i) for i, sees in enumerate(seen) if not sees]
  if blind:
    raise ValueError(
      f'Worker {", ".join(blind)} does not see what the chief writes to its '
      f'--{flag}: all workers need the same folder, on a file system that they '
      'share.'
    )


def _appears(path, token):
  """Whether a file with this text is there, now or soon."""
  end = time.monotonic() + _PATIENCE
  while True:
    with contextlib.suppress(OSError):
      if pathlib.Path(path).read_text() == token:
        return True
    if time.monotonic() > end:
      return False
    time.sleep(0.2)
