"""How a script ends: by Python, or at once where threads would abort it.

A thread of TensorFlow's server that calls Python, as to read examples ahead,
while Python ends, aborts the process. What it serves is never closed.
"""

import errno
import os
import sys
from typing import Any

FAILED = 1
# Of a failure that may not come again, which the launcher starts all after;
# EX_TEMPFAIL of Unix.
MAY_PASS = 75
_MAY_PASS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE)

_AT_ONCE: list[bool] = []


class Fault(ValueError):
  """What may be otherwise when the same is started again.

  Such as a disk that is full, or a worker that does not answer.
  """


def status(failure: Exception) -> int:
  """Returns the exit status of a script that ends by an error."""
  passes = isinstance(failure, Fault) or (
    isinstance(failure, OSError) and failure.errno in _MAY_PASS
  )
  return MAY_PASS if passes else FAILED


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
