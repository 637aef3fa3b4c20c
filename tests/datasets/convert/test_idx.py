"""IDX files: MNIST and Fashion-MNIST."""

import gzip
import io
import struct

import numpy as np
import pytest
from PIL import Image

from datasets.convert import idx
from datasets.images import image_files
from datasets.writing.plan import Options

SIZES = {'train': 7, 't10k': 3}


def image_bytes(images):
  return struct.pack('>4I', 0x803, *images.shape) + images.tobytes()


def label_bytes(labels):
  return struct.pack('>2I', 0x801, len(labels)) + labels.tobytes()


def arrays(prefix):
  random = np.random.RandomState(SIZES[prefix])
  images = random.randint(0, 256, (SIZES[prefix], 5, 4)).astype(np.uint8)
  return images, random.randint(0, 10, SIZES[prefix]).astype(np.uint8)


def write(folder, separator='-', suffix=''):
  for prefix in SIZES:
    images, labels = arrays(prefix)
    for stem, data in (
      (f'images{separator}idx3', image_bytes(images)),
      (f'labels{separator}idx1', label_bytes(labels)),
    ):
      (folder / f'{prefix}-{stem}-ubyte{suffix}').write_bytes(
        gzip.compress(data) if suffix else data
      )
  return str(folder)


def refused(folder):
  with pytest.raises(ValueError) as caught:
    idx.plan_mnist(str(folder), Options())
  return str(caught.value)


@pytest.mark.parametrize('separator', '-.')
@pytest.mark.parametrize('suffix', ['', '.gz'])
def test_images_and_labels(tmp_path, separator, suffix):
  plan = idx.plan_mnist(write(tmp_path, separator, suffix), Options())
  assert plan.name == 'mnist' and plan.source == str(tmp_path)
  assert plan.class_names == [
    'zero',
    'one',
    'two',
    'three',
    'four',
    'five',
    'six',
    'seven',
    'eight',
    'nine',
  ]
  assert list(plan.splits) == ['train', 'test']
  for split, prefix in (('train', 'train'), ('test', 't10k')):
    images, labels = arrays(prefix)
    items = plan.splits[split]
    assert [item.label for item in items] == labels.tolist()
    for item, image in zip(items, images, strict=True):
      decoded = Image.open(io.BytesIO(item.read()))
      assert decoded.format == 'PNG' and decoded.mode == 'L'
      np.testing.assert_array_equal(decoded, image)
  assert items[2].name == (
    f'image 2 of t10k-images{separator}idx3-ubyte{suffix}'
  )


def test_fashion(tmp_path):
  plan = idx.plan_fashion_mnist(write(tmp_path), Options())
  assert plan.name == 'fashion_mnist'
  assert plan.class_names == [
    'T-shirt/top',
    'Trouser',
    'Pullover',
    'Dress',
    'Coat',
    'Sandal',
    'Shirt',
    'Sneaker',
    'Bag',
    'Ankle boot',
  ]


def test_no_folder(tmp_path):
  assert 'none does not exist.' in refused(tmp_path / 'none')


def test_missing_file(tmp_path):
  write(tmp_path, suffix='.gz')
  (tmp_path / 't10k-labels-idx1-ubyte.gz').unlink()
  assert refused(tmp_path) == (
    f'{tmp_path} has no t10k-labels-idx1-ubyte nor '
    't10k-labels-idx1-ubyte.gz. Is it the folder of the four IDX files?'
  )


@pytest.mark.parametrize(
  'name, change, words',
  [
    (
      'train-images-idx3',
      lambda data: b'\0\0\x08\1' + data[4:],
      'train-images-idx3-ubyte starts with the bytes 00000801; an IDX file of '
      '3 dimensions starts with 00000803. Is it the right file, and unpacked?',
    ),
    ('train-labels-idx1', gzip.compress, 'starts with the bytes 1f8b08'),
    ('train-labels-idx1', lambda data: b'', 'starts with the bytes (none);'),
    (
      'train-images-idx3',
      lambda data: data[:9],
      'has 9 bytes, less than its header of 16. Download it again.',
    ),
    (
      'train-images-idx3',
      lambda data: data[:-1],
      'train-images-idx3-ubyte has 155 bytes (unpacked); by its header of '
      '7 x 5 x 4 it should have 156. Download it again.',
    ),
    ('train-labels-idx1', lambda data: data + b'x', 'it should have 15.'),
    (
      't10k-labels-idx1',
      lambda data: label_bytes(np.zeros(4, np.uint8)),
      't10k-images-idx3-ubyte has 3 images and t10k-labels-idx1-ubyte has 4 '
      'labels. Download both again.',
    ),
    (
      't10k-labels-idx1',
      lambda data: label_bytes(np.array([0, 10, 11], np.uint8)),
      't10k-labels-idx1-ubyte: label 1 is 10; it should be below 10.',
    ),
  ],
)
def test_damaged(tmp_path, name, change, words):
  path = tmp_path / f'{name}-ubyte'
  write(tmp_path)
  path.write_bytes(change(path.read_bytes()))
  assert words in refused(tmp_path)
  assert str(tmp_path) in refused(tmp_path)


def test_no_images(tmp_path):
  write(tmp_path)
  (tmp_path / 't10k-images-idx3-ubyte').write_bytes(
    image_bytes(np.zeros((0, 5, 4), np.uint8))
  )
  (tmp_path / 't10k-labels-idx1-ubyte').write_bytes(
    label_bytes(np.zeros(0, np.uint8))
  )
  assert 't10k-images-idx3-ubyte has no images.' in refused(tmp_path)


@pytest.mark.parametrize(
  'change',
  [
    lambda data: data[:-9],
    lambda data: b'no gzip',
    lambda data: data[:5],
    lambda data: data[:30] + b'\xff' * 20 + data[50:],
  ],
)
def test_damaged_gzip(tmp_path, change):
  path = tmp_path / 'train-images-idx3-ubyte.gz'
  write(tmp_path, suffix='.gz')
  path.write_bytes(change(path.read_bytes()))
  assert f'{path} is cut off or damaged (' in refused(tmp_path)
  assert 'Download it again.' in refused(tmp_path)


def test_larger_than_is_read(tmp_path, monkeypatch):
  path = tmp_path / 'train-images-idx3-ubyte.gz'
  write(tmp_path, suffix='.gz')
  path.write_bytes(gzip.compress(bytes(10**6)))
  monkeypatch.setattr(idx, '_MOST_BYTES', 10**5)
  assert f'{path} has more than 100,000 bytes (unpacked)' in refused(tmp_path)


def test_encode_png_of_colour():
  image = np.random.RandomState(0).randint(0, 256, (3, 5, 7)).astype(np.uint8)
  decoded = Image.open(
    io.BytesIO(image_files.encode_png(image.transpose(1, 2, 0)))
  )
  assert decoded.mode == 'RGB' and decoded.size == (7, 5)
  np.testing.assert_array_equal(decoded, image.transpose(1, 2, 0))
