"""What the processor can do."""

import pathlib

CPUINFO = pathlib.Path('/proc/cpuinfo')


def instructions() -> set[str]:
  """Returns its instruction sets as Linux names them; empty elsewhere."""
  if not CPUINFO.exists():
    return set()
  return {
    word
    for line in CPUINFO.read_text().splitlines()
    if line.startswith('flags')
    for word in line.split()
  }
