"""A script that ends at once runs nothing more, and keeps its status."""

import subprocess
import sys

import pytest

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
