"""Files of records whose names tell how many there are."""

import pytest

from datasets.records import shards


def problems(*names):
  return [*shards.problems([f'd/{name}' for name in names])]


@pytest.mark.parametrize(
  'names',
  [
    [],
    ['train', 'train-1.tfrecord'],
    ['a-0-of-1'],
    ['a-1-of-2', 'a-0-of-2'],
    ['a-1-of-2', 'a-2-of-2'],
    ['a-0-of-1', 'b-0-of-2', 'b-1-of-2'],
    ['a_00000-of-00002.x', 'a_00001-of-00002.x', 'more.x'],
  ],
)
def test_whole(names):
  assert problems(*names) == []


@pytest.mark.parametrize(
  'names, words',
  [
    (['a-1-of-3'], 'd lacks 2 of 3 files: a-0-of-3, a-2-of-3. Copy'),
    (['a-3-of-3'], 'd lacks 2 of 3 files: a-1-of-3, a-2-of-3. Copy'),
    (['a-0-of-999999999'], '4-of-999999999, a-000000005-of-999999999 and 999'),
    (['a-0-of-1', 'a-0-of-1.copy', 'a-2-of-3.copy'], '2 sets, a-*-of-1.copy a'),
    (['a-0-of-1', 'a-00-of-1'], 'than the 1 files that the names tell: a-0-of'),
    (['a-0-of-1', 'a-7-of-1'], 'than the 1 files that the names tell: a-7-of'),
    (['a-0-of-0'], 'than the 0 files that the names tell: a-0-of-0'),
    (['a-0-of-2', 'a-1-of-2.bak'], 'd lacks 1 of 2 files: a-1-of-2. Copy'),
  ],
)
def test_what_is_wrong(names, words):
  assert any(words in text for text in problems(*names)), problems(*names)


def test_names_of_records():
  for name in 'a-0-of-1', 'a.tfrecord', 'd.x/a.tfrecords':
    assert shards.is_named_as_records(name)
  for name in 'train', 'a.txt', 'train-0', 'a.tfrecord/b':
    assert not shards.is_named_as_records(name)
