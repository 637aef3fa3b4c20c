"""Tells what is in a checkpoint: python inspect_checkpoint.py PATH."""

import sys

from engine import config, flags


def main(argv: list[str] | None = None) -> int:
  """Inspects what `argv` names; returns the exit status."""
  return flags.run(
    config.InspectConfig,
    'engine.inspection:inspect',
    argv,
    takes_arguments=True,
  )


if __name__ == '__main__':
  sys.exit(main())
