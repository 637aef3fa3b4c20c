"""Sizes of images that keep features and pixels aligned."""

from engine.common import console
from engine.config import parsing


def aligned(size: tuple[int, int], output_stride: int) -> tuple[int, int]:
  """Returns the nearest size of a multiple of the stride, plus one."""
  height, width = (
    max(1, round((side - 1) / output_stride)) * output_stride + 1
    for side in size
  )
  return height, width


def check_size(flag: str, size: tuple[int, int], output_stride: int) -> None:
  """Suggests another size if features and pixels would not be aligned."""
  best = aligned(size, output_stride)
  if size != best:
    console.note(
      f'--{flag}={parsing.SIZE.text(size)}: a multiple of the output stride '
      f'{output_stride} plus one, such as {parsing.SIZE.text(best)}, keeps '
      'features and pixels aligned.'
    )
