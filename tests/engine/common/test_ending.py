"""A script that ends at once runs nothing more, and keeps its status."""

import errno
import subprocess
import sys

import pytest

from engine.common import ending

SCRIPT = """
import atexit, sys
from engine.common import ending
atexit.register(print, 'python has ended')
{begin}
print('said')
ending.leave(7)
sys.exit(3)
"""


@pytest.mark.parametrize(
  'begin, status, printed',
  [('ending.at_once()', 7, 'said\n'), ('', 3, 'said\npython has ended\n')],
)
def test_leave(begin, status, printed):
  found = subprocess.run(
    [sys.executable, '-c', SCRIPT.format(begin=begin)],
    capture_output=True,
    text=True,
  )
  assert (found.returncode, found.stdout) == (status, printed)


@pytest.mark.parametrize(
  'failure, status',
  [
    (ValueError('wrong'), 1),
    (OSError('wrong'), 1),
    (FileNotFoundError(errno.ENOENT, 'No such file'), 1),
    (OSError(errno.ENOSPC, 'No space left on device'), 75),
    (OSError(errno.ESTALE, 'Stale file handle'), 75),
    (ending.Fault('The checkpoint cannot be written.'), 75),
  ],
)
def test_status(failure, status):
  assert ending.status(failure) == status
