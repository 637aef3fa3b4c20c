"""What the processor can do."""

import pathlib
import platform

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


def name() -> str:
  """Returns what the processor is called, such as 'Intel(R) Xeon(R)'."""
  if CPUINFO.exists():
    for line in CPUINFO.read_text().splitlines():
      if line.startswith('model name'):
        return line.partition(':')[2].strip()
  return platform.processor() or 'a processor without a name'
