"""Evaluates a checkpoint: python eval_image_classifier.py --help."""

import sys

from engine.config import flags, scripts


def main(argv: list[str] | None = None) -> int:
  """Evaluates as the flags in `argv` say; returns the exit status."""
  return flags.run(scripts.EvalConfig, 'deployment.run:evaluate', argv)


if __name__ == '__main__':
  sys.exit(main())
