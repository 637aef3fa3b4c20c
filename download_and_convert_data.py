"""Makes and checks TFRecords: python download_and_convert_data.py --help."""

import sys

from engine.config import flags, scripts


def main(argv: list[str] | None = None) -> int:
  """Converts as the flags in `argv` say; returns the exit status."""
  return flags.run(scripts.ConvertConfig, 'engine.convert:convert', argv)


if __name__ == '__main__':
  sys.exit(main())
