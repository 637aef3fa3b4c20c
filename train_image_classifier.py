"""Trains a residual network: python train_image_classifier.py --help."""

import sys

from engine.common import huge_pages
from engine.config import flags, runs, scripts


def main(argv: list[str] | None = None) -> int:
  """Trains as the flags in `argv` say; returns the exit status."""
  return flags.run(
    scripts.TrainConfig, 'deployment.run:train', argv, begin=runs.resumed
  )


if __name__ == '__main__':
  huge_pages.ask()
  sys.exit(main())
