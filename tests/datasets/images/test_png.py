"""What the header of a PNG says."""

import io

import numpy as np
import pytest
from PIL import Image

from datasets.images import png


def encoded(mode):
  data = io.BytesIO()
  Image.fromarray(np.zeros((5, 7), np.uint8)).convert(mode).save(data, 'png')
  return data.getvalue()


@pytest.mark.parametrize(
  'mode, bits, kind',
  [
    ('L', 8, png.GREY),
    ('1', 1, png.GREY),
    ('RGB', 8, 2),
    ('P', 8, 3),
    ('LA', 8, 4),
    ('RGBA', 8, 6),
  ],
)
def test_header(mode, bits, kind):
  data = encoded(mode)
  assert png.read_header(data) == (7, 5, bits, kind)
  assert (data[png.BITS], data[png.KIND]) == (bits, kind)


@pytest.mark.parametrize('data', [b'', b'\xff\xd8\xff', encoded('L')[:20]])
def test_no_png(data):
  assert png.read_header(data) is None
