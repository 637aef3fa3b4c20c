"""Writes a network for other runtimes: export_inference_graph.py --help."""

import sys

from engine.config import export, flags


def main(argv: list[str] | None = None) -> int:
  """Exports as the flags in `argv` say; returns the exit status."""
  return flags.run(export.ExportConfig, 'engine.export.exporter:export', argv)


if __name__ == '__main__':
  sys.exit(main())
