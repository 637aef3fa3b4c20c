"""Records with masks: which are bad, and what is said of them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from datasets import dataset_factory, dataset_utils
from datasets.records import examples, tfrecord
from datasets.records.examples import BadExample, Examiner
from tests import builders

CLASSES = 21


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture(scope='module')
def examiner():
  return Examiner(range(CLASSES), 500, 'segmentation', 255)


def ids(seed, height=20, width=24, values=(0, 1, 20, 255)):
  return builders.noise_mask(seed, height, width, values)


@pytest.mark.parametrize('height, width', [(20, 24), (1, 7), (9, 1)])
def test_a_good_record(examiner, height, width):
  label = ids(3, height, width)
  found = examiner(builders.mask_record(3, label))
  assert found.label.dtype == np.uint8 and found.label.shape == label.shape
  np.testing.assert_array_equal(found.label, label)
  np.testing.assert_array_equal(
    found.image, builders.noise_image(3, height, width)
  )
  assert found.filename == 'Bild 3' and found.data == builders.png(found.image)


def with_bits(bits):
  """A grey PNG of 24 x 20 pixels with fewer or more bits for each."""
  rows = (b'\0' + bytes(24 * bits // 8)) * 20
  header = struct.pack('>IIBBBBB', 24, 20, bits, 0, 0, 0, 0)
  chunks = b''.join(
    struct.pack('>I', len(data))
    + kind
    + data
    + struct.pack('>I', zlib.crc32(kind + data))
    for kind, data in (
      (b'IHDR', header),
      (b'IDAT', zlib.compress(rows)),
      (b'IEND', b''),
    )
  )
  return b'\x89PNG\r\n\x1a\n' + chunks


def jpeg():
  data = io.BytesIO()
  Image.fromarray(ids(0)).save(data, 'jpeg')
  return data.getvalue()


MASK = builders.png(ids(0))
NONE = 'has no single value of image/segmentation/class/encoded'
ONE = ', where class ids should be one grey channel of 8 bits: '
SCRIPT = (
  'convert the data with download_and_convert_data.py '
  '--dataset_name=mask_folder, which writes ids'
)
BAD = {  # name: (the record, what is said of it)
  'no proto': (b'\xff' * 50, 'is no tf.train.Example'),
  'no mask': (builders.mask_record(0, ids(0), seg=None), NONE),
  'two masks': (builders.mask_record(0, ids(0), seg=[MASK] * 2), NONE),
  'a number': (builders.mask_record(0, ids(0), seg=7), NONE),
  'no image': (
    builders.mask_record(0, ids(0), data=None),
    'has no single value of image/encoded',
  ),
  'bad image': (
    builders.mask_record(0, ids(0), data=b'<html>'),
    'holds an image that is no image, or is damaged',
  ),
  'empty mask': (
    builders.mask_record(0, ids(0), seg=b''),
    'has an empty mask: convert the data again',
  ),
  'text': (
    builders.mask_record(0, ids(0), seg=b'<html>'),
    f'has a mask that is no PNG: {SCRIPT}',
  ),
  'JPEG': (
    builders.mask_record(0, ids(0), seg=jpeg()),
    f'has a mask that is no PNG: {SCRIPT}',
  ),
  'header alone': (
    builders.mask_record(0, ids(0), seg=MASK[:20]),
    f'has a mask that is no PNG: {SCRIPT}',
  ),
  'cut short': (
    builders.mask_record(0, ids(0), seg=MASK[:60]),
    'has a damaged mask',
  ),
  'RGB': (
    builders.mask_record(0, ids(0), seg=builders.png(ids(0), 'RGB')),
    f'has a mask of 3 channels, RGB{ONE}{SCRIPT}',
  ),
  'RGBA': (
    builders.mask_record(0, ids(0), seg=builders.png(ids(0), 'RGBA')),
    f'has a mask of 4 channels, RGB and alpha{ONE}{SCRIPT}',
  ),
  'LA': (
    builders.mask_record(0, ids(0), seg=builders.png(ids(0), 'LA')),
    f'has a mask of 2 channels, grey and alpha{ONE}{SCRIPT}',
  ),
  'palette': (
    builders.mask_record(0, ids(0), seg=builders.png(ids(0), 'P')),
    'has a mask with a palette, of which TensorFlow would read '
    f'how bright the colours are{ONE}{SCRIPT}',
  ),
  **{
    f'{bits} bits': (
      builders.mask_record(0, ids(0), seg=with_bits(bits)),
      f'has a mask of {bits} bits a pixel{ONE}{SCRIPT}',
    )
    for bits in (1, 2, 4, 16)
  },
  'size': (
    builders.mask_record(0, ids(0), seg=builders.png(ids(0, 12, 10))),
    'has a mask of 10x12 pixels for an image of 24x20: convert the data again',
  ),
  'turned': (
    builders.mask_record(0, ids(0), seg=builders.png(ids(0, 24, 20))),
    'has a mask of 20x24 pixels for an image of 24x20: convert the data again',
  ),
  'bomb': (
    builders.mask_record(
      0, ids(0), seg=MASK[:16] + struct.pack('>II', 60_000, 60_000) + MASK[24:]
    ),
    'has a mask of 60000x60000 pixels for an image of 24x20: convert '
    'the data again',
  ),
  'too large': (
    builders.mask_record(0, ids(0, 30, 30)),
    'holds an image that has 30x30 = 900 pixels, more than '
    '--max_image_pixels=500: shrink it, or raise the limit',
  ),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_records(examiner, name):
  data, text = BAD[name]
  with pytest.raises(BadExample) as error:
    examiner(data)
  assert str(error.value) == text
  assert error.value.has_cure == ('convert the data' in text)


def value_error(values, ignore_label=255, classes=CLASSES):
  """What is said of a mask of ten rows, of which each value fills some."""
  label = np.repeat(np.array(values, np.uint8)[:, None], 10, 1)
  with pytest.raises(BadExample) as error:
    Examiner(range(classes), task='segmentation', ignore_label=ignore_label)(
      builders.mask_record(0, label)
    )
  return str(error.value)


@pytest.mark.parametrize(
  'values, ignore_label, text',
  [
    (
      [0] * 9 + [255],
      254,
      'has the value 255 in its mask (10.0% of it), which is neither a class '
      '(0 to 20) nor the ignore label 254: name every class, or convert the '
      'data again with --ignore_label=255 if such pixels are not to count',
    ),
    (
      [0, 1, 255, 21],
      None,
      'has the values 21, 255 in its mask (50.0% of it), which are no classes '
      '(0 to 20): name every class, or give each of these values one by '
      '--mask_values',
    ),
    (
      [0, 21],
      None,
      'has the value 21 in its mask (50.0% of it), which is no class (0 to '
      '20): name every class, or convert the data again with --ignore_label=21 '
      'if such pixels are not to count',
    ),
    (
      [0, 20, 255, *range(30, 39)],
      255,
      'has the values 30, 31, 32, 33, 34, 35 and 3 more in its mask (75.0% of '
      'it), which are neither classes (0 to 20) nor the ignore label 255: name '
      'every class, or give each of these values one by --mask_values',
    ),
  ],
)
def test_values_that_are_no_class(values, ignore_label, text):
  assert value_error(values, ignore_label) == text


@pytest.mark.parametrize(
  'classes, ignore_label, values',
  [
    (21, 255, [0, 20, 255]),
    (151, 0, [0, 1, 150]),
    (2, None, [0, 1]),
    (256, None, [0, 128, 255]),
    (256, 7, [0, 7, 255]),
  ],
)
def test_values_that_may_occur(classes, ignore_label, values):
  label = builders.noise_mask(1, 9, 8, values)
  found = Examiner(
    range(classes), task='segmentation', ignore_label=ignore_label
  )(builders.mask_record(1, label)).label
  np.testing.assert_array_equal(found, label)


def dataset(tmp_path, records, ignore_label=255):
  path = str(tmp_path / 'a.tfrecord')
  tfrecord.write(path, records)
  return dataset_factory.make_dataset(
    'pascal_voc_seg',
    'train',
    [path],
    CLASSES,
    None,
    task='segmentation',
    ignore_label=ignore_label,
  )


def test_examples_of_a_data_set(tmp_path):
  labels = [ids(i, 8 + i, 9) for i in range(4)]
  records = [builders.mask_record(i, label) for i, label in enumerate(labels)]
  records[2] = BAD['palette'][0]
  found = examples.Examples(dataset(tmp_path, records), skip=1)
  assert (len(found), found.classes) == (4, CLASSES)
  assert found.examine(range(4))
  for i in (0, 1, 3):
    np.testing.assert_array_equal(found.example(i).label, labels[i])
  assert found.example(2) is None and found.stand_in(2) == 3
  assert found.left_out == [
    f'record 2 of {tmp_path}/a.tfrecord {BAD["palette"][1]}.'
  ]


def test_what_is_bad_is_named_with_its_cure(tmp_path):
  records = [builders.mask_record(0, ids(0)), BAD['cut short'][0]]
  with pytest.raises(ValueError) as error:
    examples.Examples(dataset(tmp_path, records)).examine([0, 1])
  assert str(error.value) == (
    f'record 1 of {tmp_path}/a.tfrecord has a damaged mask: repair or remove '
    'it, or convert the data again. --skip_bad_examples=1 leaves it out.'
  )


def test_a_data_set_without_an_ignore_label(tmp_path):
  with pytest.raises(ValueError, match='the value 255 .* is no class'):
    examples.Examples(
      dataset(tmp_path, [builders.mask_record(0, ids(0))], None)
    ).example(0)


@pytest.mark.parametrize(
  'data, expected',
  [
    (builders.mask_record(0, ids(0)), True),
    (BAD['RGB'][0], True),
    (BAD['no mask'][0], False),
    (b'', False),
    (b'\xff' * 50, False),
    (
      dataset_utils.serialize(
        dataset_utils.image_to_tfexample(b'', b'png', 1, 1, 0)
      ),
      False,
    ),
  ],
)
def test_has_mask(data, expected):
  assert (examples.task_of(data) == 'segmentation') == expected
