"""Palettes of masks: whether a number means the same colour in all of them.

A program that reduces each mask to a palette of its own numbers the colours
anew in each file. Read as class ids, such masks look right one by one, and
nothing is learnt from them.
"""

from collections.abc import Mapping

from datasets.images import mask_files
from datasets.images.mask_files import Colour

CURE = (
  'If colours tell the classes, convert the masks with --color_table, a CSV '
  'file with the lines name,r,g,b; if numbers do, save the masks as grey PNGs, '
  'without palettes.'
)


class Palettes:
  """The colours of the numbers that masks use, one mask after the other.

  Numbers that a mask does not use may have any colour in its palette.
  """

  def __init__(self, ignore_label: int | None = None):
    """Sets the number whose colour does not count; None if all do."""
    self._ignore_label = ignore_label
    self._first = {}  # (colour, name of the mask) by number

  def add(self, name: str, colours: Mapping[int, Colour]) -> str:
    """Adds a mask; returns how it contradicts an earlier one, '' if not.

    Args:
      name: what people call the mask.
      colours: of the numbers that it uses; see `mask_files.used_colours`.

    >>> palettes = Palettes()
    >>> palettes.add('a.png', {0: (0, 0, 0), 1: (128, 0, 0)})
    ''
    >>> palettes.add('b.png', {1: (0, 128, 0)})
    '1 is the colour 128,0,0 in a.png and 0,128,0 in b.png'
    """
    for number, colour in colours.items():
      first, other = self._first.setdefault(number, (colour, name))
      if first != colour and number != self._ignore_label:
        return (
          f'{number} is the colour {mask_files.text(first)} in {other} and '
          f'{mask_files.text(colour)} in {name}'
        )
    return ''
