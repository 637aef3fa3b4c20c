"""Names what images show: python classify_image.py --help."""

import sys

from engine.config import flags, scripts


def main(argv: list[str] | None = None) -> int:
  """Classifies as the flags in `argv` say; returns the exit status."""
  return flags.run(
    scripts.ClassifyConfig,
    'engine.classify:classify',
    argv,
    takes_arguments=True,
  )


if __name__ == '__main__':
  sys.exit(main())
