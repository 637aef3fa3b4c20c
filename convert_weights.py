"""Converts the weights of other libraries: convert_weights.py --help."""

import sys

from engine.config import convert_weights, flags


def main(argv: list[str] | None = None) -> int:
  """Converts as the flags in `argv` say; returns the exit status."""
  return flags.run(
    convert_weights.ConvertWeightsConfig, 'engine.convert_weights:convert', argv
  )


if __name__ == '__main__':
  sys.exit(main())
