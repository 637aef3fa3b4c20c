"""What TensorFlow logs, hidden while a script runs.

Nothing here imports TensorFlow: its log level counts when it is imported.
"""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

_LEVEL = 'TF_CPP_MIN_LOG_LEVEL'
_LOGGERS = ('tensorflow', 'absl')


@contextlib.contextmanager
def quiet(verbosity: int) -> Iterator[None]:
  """Sets what TensorFlow logs, and sets it back at the end.

  Args:
    verbosity: -1 or less hides everything, 0 shows warnings, 1 or more leaves
      all as it is. A level that the user has set in the environment stays.
  """
  if verbosity > 0:
    yield
    return
  was_set = _LEVEL in os.environ
  os.environ.setdefault(_LEVEL, '1' if verbosity == 0 else '3')
  loggers = [logging.getLogger(name) for name in _LOGGERS]
  levels = [logger.level for logger in loggers]
  try:
    with warnings.catch_warnings():
      if verbosity < 0:
        warnings.filterwarnings('ignore', module='tensorflow|tf_keras|tf_slim')
        warnings.filterwarnings('ignore', message='.*layer.apply.*')
        for logger in loggers:
          logger.setLevel(logging.ERROR)
      yield
  finally:
    for logger, level in zip(loggers, levels, strict=True):
      logger.setLevel(level)
    if not was_set:
      os.environ.pop(_LEVEL, None)


@contextlib.contextmanager
def stderr_hidden(verbosity: int) -> Iterator[None]:
  """Hides what is written to stderr, as while TensorFlow is imported.

  TensorFlow's C++ side writes to the descriptor of stderr before its log
  level can be set, so the descriptor itself is turned away meanwhile.

  Args:
    verbosity: nothing is hidden above 0.
  """
  if verbosity > 0:
    yield
    return
  sys.stderr.flush()
  saved = os.dup(2)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  try:
    os.dup2(nowhere, 2)
    yield
  finally:
    os.dup2(saved, 2)
    os.close(saved)
    os.close(nowhere)
