"""Tells what is in a checkpoint: python inspect_checkpoint.py PATH."""

import sys

from engine.config import flags, scripts


def main(argv: list[str] | None = None) -> int:
  """Inspects what `argv` names; returns the exit status."""
  return flags.run(
    scripts.InspectConfig, 'engine.inspect:inspect', argv, takes_arguments=True
  )


if __name__ == '__main__':
  sys.exit(main())
