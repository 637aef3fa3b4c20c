"""How a script ends: by Python, or at once where threads would abort it.

A thread of TensorFlow's server that calls Python, as to read examples ahead,
while Python ends, aborts the process. What it serves is never closed.
"""

import os
import sys
from typing import Any

_AT_ONCE: list[bool] = []


def at_once() -> None:
  """Lets the script end without waiting for threads, from now on."""
  _AT_ONCE.append(True)


def leave(status: int) -> None:
  """Ends the process with a status, if that is to be at once."""
  if _AT_ONCE:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def never_closed(session: Any) -> Any:
  """Returns a session that is not closed, not even when it is forgotten.

  To close one of a server may wait without end for a worker that is gone.
  """
  session.close = lambda: None
  return session
