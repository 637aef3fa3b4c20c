"""Makes and checks TFRecords: python download_and_convert_data.py --help."""

import sys

from engine import config, flags


def main(argv: list[str] | None = None) -> int:
  """Converts as the flags in `argv` say; returns the exit status."""
  return flags.run(config.ConvertConfig, 'engine.convert:convert', argv)


if __name__ == '__main__':
  sys.exit(main())
