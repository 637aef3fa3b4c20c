"""Runs all benchmarks, one after the other, and says on what machine.

  python -m benchmarks

Each measures this project beside TF-Slim's layers, keras.applications and,
where it is installed, PyTorch; its own description says how. What is not
installed is left out with a line. --only takes some of them.
"""

import argparse
import os
import platform
import shlex
import subprocess
import sys
import time
from importlib import metadata

from engine.common import processor

# Module -> its flags; in the order of the page of measurements.
RUNS = {
  'steps': [],
  'precision': [],
  'start': [],
  'dense': [],
  'inference': ['--cases', 'classification', '--budget', '40'],
  'learning': [],
  'segmentation': [],
  'overhead': [],
  'input': [],
  'index': [],
  'evaluation': [],
  'scaling': ['--turns=3'],
  'growth': ['--output=growth.png'],
}
_PACKAGES = ['tensorflow', 'keras', 'tf-slim', 'numpy', 'torch']


def machine() -> str:
  """Returns what the figures depend on, in a line."""
  known = processor.instructions()
  sets = [
    name
    for name, instruction in (('AVX-512', 'avx512f'), ('AMX', 'amx_bf16'))
    if instruction in known
  ]
  versions = []
  for package in _PACKAGES:
    try:
      versions.append(f'{package} {metadata.version(package)}')
    except metadata.PackageNotFoundError:
      versions.append(f'no {package}')
  return (
    f'{os.cpu_count()} cores of {processor.name()}, '
    f'{" and ".join(sets) or "neither AVX-512 nor AMX"}; Python '
    f'{platform.python_version()}, {", ".join(versions)}'
  )


def run(name: str) -> int:
  """Runs one benchmark; returns its exit status."""
  command = ['-m', f'benchmarks.{name}', *RUNS[name]]
  print(f'\n== python {shlex.join(command)}', flush=True)
  begin = time.perf_counter()
  status = subprocess.run([sys.executable, *command]).returncode
  ended = f'failed with status {status}' if status else 'done'
  print(f'== {ended} after {time.perf_counter() - begin:.0f} s', flush=True)
  return status


def main() -> int:
  """Runs what the command line says; returns 1 if any failed."""
  parser = argparse.ArgumentParser(
    prog='python -m benchmarks', description=__doc__.split('\n')[0]
  )
  parser.add_argument('--only', nargs='+', choices=RUNS, default=[*RUNS])
  given = parser.parse_args()
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  print(machine(), flush=True)
  return max([min(abs(run(name)), 1) for name in given.only])


if __name__ == '__main__':
  sys.exit(main())
