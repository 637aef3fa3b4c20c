"""The header of a PNG, which says what kind of pixels follows."""

import struct
from typing import NamedTuple

SIGNATURE = b'\x89PNG\r\n\x1a\n'
WIDTH = 16  # where the header has width and height, of four bytes each
BITS, KIND = 24, 25  # where it has these two, a byte each
GREY = 0  # the kind of one grey channel

_HEADER = struct.Struct('>16xIIBB')


class Header(NamedTuple):
  """What a PNG says of itself.

  Fields:
    width: in pixels.
    height: in pixels.
    bits: of a channel.
    kind: of pixels: `GREY`, 2 for RGB, 3 for a palette, 4 for grey and
      alpha, 6 for RGB and alpha.
  """

  width: int
  height: int
  bits: int
  kind: int


def read_header(data: bytes) -> Header | None:
  """Returns the header of a PNG, None if these bytes are none."""
  if not data.startswith(SIGNATURE) or len(data) < _HEADER.size:
    return None
  return Header(*_HEADER.unpack_from(data))
