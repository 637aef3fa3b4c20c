"""What tells the data of a split from others, wherever they lie."""

import os
import shutil

import pytest

from datasets import dataset_factory
from datasets.records import description, identity, tfrecord
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')


def of(folder, split='validation'):
  return identity.of(dataset_factory.get_dataset('flowers', split, str(folder)))


def describe(folder, crc=1):
  path = 'flowers_validation_00000-of-00001.tfrecord'
  size = os.path.getsize(folder / path)
  description.write(
    description.Description(
      'flowers',
      tuple(builders.COLOURS),
      3,
      (40, 40),
      (40, 40),
      {
        'validation': description.Split(
          {path: tfrecord.Written(23, size, crc)}, (23, 0, 0, 0, 0)
        )
      },
    ),
    folder,
  )


@pytest.mark.parametrize('described', [False, True])
def test_a_copy_elsewhere_is_the_same(workplace, colours, described):
  first = shutil.copytree(colours, workplace / 'a')
  if described:
    describe(first)
  other = shutil.copytree(first, workplace / 'b')
  for path in other.iterdir():
    os.utime(path, (1, 1))
  found = of(first)
  assert of(other) == found
  assert found.examples == 23
  assert found.checksum.startswith('files:' if described else 'records:')


def test_a_label_tells_data_apart(workplace):
  """Though every record is as long as before."""
  one = builders.write_colours(workplace / 'a', 8, 4)
  other = builders.write_colours(workplace / 'b', 8, 4, labels=(0, 2, 1, 3, 4))
  assert of(one, 'train').examples == of(other, 'train').examples
  assert of(one, 'train').checksum != of(other, 'train').checksum


def test_described_files(workplace, colours):
  folder = shutil.copytree(colours, workplace / 'a')
  bare = of(folder)
  describe(folder, 1)
  first = of(folder)
  describe(folder, 2)
  assert first.checksum != of(folder).checksum
  assert not identity.are_comparable(bare.checksum, first.checksum)


def test_of_many_records_some_are_read(workplace, monkeypatch):
  """Their lengths are known, and all count; so does their order."""
  monkeypatch.setattr(tfrecord, '_SAMPLE', 10)
  records = [bytes([i]) * (1 + i) for i in range(100)]
  read = []
  pread = tfrecord.Reader._pread

  def counted(*arguments):
    read.append(arguments)
    return pread(*arguments)

  monkeypatch.setattr(tfrecord.Reader, '_pread', counted)

  def checksum(records):
    tfrecord.write('records', records)
    return tfrecord.Reader(['records']).checksum()

  found = checksum(records)
  assert len(read) == 10
  assert checksum(records[::-1]) != found == checksum(records)
  assert checksum([]) != found
