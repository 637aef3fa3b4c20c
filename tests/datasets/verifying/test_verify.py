"""The report on a dataset: its numbers, its problems, its notes."""

import gc
import json
import os
import pathlib
import re
import threading
import tracemalloc
import types

import numpy as np
import pytest
from PIL import Image

from datasets import dataset_factory, dataset_utils
from datasets.images import image_files
from datasets.text import columns
from datasets.verifying import report as reports
from datasets.verifying import table, verify
from datasets.writing import writer
from datasets.writing.plan import Item, Plan
from tests import builders

NAMES = tuple(builders.COLOURS)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def item(label, seed, size=16):
  data = builders.encode(builders.colour_image(label, seed, size), 'png')
  return Item(f'{NAMES[label]}/{seed}.png', label, lambda: data)


def write(folder, num_shards=None, names=NAMES, name='tfrecord', **splits):
  """Writes a dataset with dataset.json; splits are lists of items."""
  writer.write(
    Plan('colours', list(names), splits, name),
    folder,
    '%s-*.tfrecord',
    num_shards=num_shards,
  )
  return str(folder)


def colours(start=0, each=3, labels=range(5)):
  return [
    item(label, start + 10 * i + label) for i in range(each) for label in labels
  ]


@pytest.fixture
def folder(tmp_path):
  """20 examples in two files for training, ten for validation."""
  return write(
    tmp_path / 'data',
    2,
    train=colours(each=4),
    validation=colours(1000, each=2),
  )


def check(folder, name='tfrecord', **options):
  return verify.verify(name, str(folder), **options)


def only(texts, *words):
  """Asserts that one of the texts has the words, and returns it."""
  found = [text for text in texts if all(word in text for word in words)]
  assert len(found) == 1, texts
  return found[0]


def files(folder, split='train'):
  return sorted(pathlib.Path(folder).glob(f'{split}-*'))


def test_values_of_a_sound_data_set(folder):
  report = check(folder)
  assert report.problems == report.notes == ()
  assert (report.name, report.folder) == ('tfrecord', folder)
  assert report.class_names == NAMES
  assert list(report.splits) == ['train', 'validation']
  train, validation = report.splits.values()
  assert (train.records, validation.records) == (20, 10)
  assert train.examples_per_class == (4,) * 5
  assert validation.examples_per_class == (2,) * 5
  assert train.paths == report.paths['train'] == tuple(map(str, files(folder)))
  assert train.heights == train.widths == (16, 16, 16)
  assert train.bad == () and train.repeated == 0 and train.imbalance == 1
  assert report.leaked == {} and report.conflicts == 0


def test_sizes_and_bytes(tmp_path):
  shapes = [(8, 20), (10, 30), (40, 10)]
  for split in ('train', 'validation'):
    dataset_utils.write_tfrecord(
      tmp_path / f'{split}.tfrecord',
      [
        dataset_utils.image_to_tfexample(
          builders.encode(
            builders.colour_image(i, i, 40).crop((0, 0, width, height)), 'png'
          ),
          b'png',
          height,
          width,
          i,
        )
        for i, (height, width) in enumerate(shapes)
      ],
    )
  dataset_utils.write_label_file({0: 'a', 1: 'b', 2: 'c'}, tmp_path)
  train = check(tmp_path).splits['train']
  assert train.heights == (8, 10, 40) and train.widths == (10, 20, 30)
  examples = [
    len(
      builders.encode(
        builders.colour_image(i, i, 40).crop((0, 0, width, height)), 'png'
      )
    )
    for i, (height, width) in enumerate(shapes)
  ]
  assert train.median_bytes == np.median(examples)


def test_threads_do_not_change_the_report(folder):
  path = files(folder)[0]
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)
  reports = [check(folder, threads=threads) for threads in (1, 2, 7, None)]
  assert reports[0].problems and reports == [reports[0]] * 4


def test_progress_counts_every_record(folder):
  seen = []

  class Bar:
    def __init__(self, total, initial, title):
      seen.append([total, title, 0])

    def __enter__(self):
      return self

    def __exit__(self, *unused):
      pass

    def update(self, n):
      seen[-1][2] += n

  check(folder, progress=Bar, threads=3)
  assert seen == [[20, 'verifying', 20], [10, 'verifying', 10]]


def test_a_failure_of_ones_own_ends_all_threads(folder, monkeypatch):
  class Broken(verify.Examiner):
    def __call__(self, record):
      raise MemoryError('none left')

  monkeypatch.setattr(verify, 'Examiner', Broken)
  before = threading.active_count()
  with pytest.raises(MemoryError, match='none left'):
    check(folder, threads=3)
  assert threading.active_count() == before


def test_images_are_not_held(tmp_path):
  data = builders.encode(builders.colour_image(0, 0, 200), 'jpeg')
  dataset_utils.write_tfrecord(
    tmp_path / 'train.tfrecord',
    [
      dataset_utils.image_to_tfexample(data, b'jpeg', 200, 200, i % 2)
      for i in range(300)
    ],
  )
  dataset_utils.write_label_file({0: 'a', 1: 'b'}, tmp_path)
  images, decoder = [], image_files.Decoder

  class Counted(decoder):
    def __call__(self, data):
      image = super().__call__(data).copy()  # memory that tracemalloc sees
      images.append(image.nbytes)
      return image

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(image_files, 'Decoder', Counted)
    check(tmp_path)  # what is allocated once
    gc.collect()
    tracemalloc.start()
    check(tmp_path, threads=2)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
  assert sum(images[-300:]) == 300 * 200 * 200 * 3
  assert most < 20 * 200 * 200 * 3


def record(label=0, data=None, **features):
  data = (
    builders.encode(builders.colour_image(0, 5), 'png')
    if data is None
    else data
  )
  example = dataset_utils.image_to_tfexample(
    data, b'png', 40, 40, label, features
  )
  return example


def without(key):
  example = record()
  del example.features.feature[key]
  return example


def bytes_record(data):
  return types.SimpleNamespace(SerializeToString=lambda **unused: data)


BAD = {
  'no proto': (bytes_record(b'\xff' * 9), 'is no tf.train.Example'),
  'empty': (bytes_record(b''), 'image/encoded'),
  'no image': (without('image/encoded'), 'image/encoded'),
  'no label': (without('image/class/label'), 'image/class/label'),
  'a label too high': (record(5), 'the label 5, which is not in 0 to 4'),
  'a negative label': (record(-1), 'the label -1'),
  'empty bytes': (record(data=b''), 'image that is empty'),
  'other bytes': (record(data=b'GIF87a rubbish'), 'image that is'),
  'half an image': (
    record(data=builders.encode(builders.colour_image(0, 5), 'png')[:900]),
    'image that is damaged',
  ),
  'too large': (
    record(data=builders.encode(builders.colour_image(0, 5, 70), 'png')),
    '70x70 = 4,900 pixels',
  ),
}


@pytest.mark.parametrize('kind', BAD)
def test_a_bad_record_is_counted_once(tmp_path, kind):
  bad, words = BAD[kind]
  good = [builders.colour_example(label, label) for label in range(5)]
  dataset_utils.write_tfrecord(
    tmp_path / 'train.tfrecord', [*good[:3], bad, *good[3:]]
  )
  dataset_utils.write_label_file(dict(enumerate(NAMES)), tmp_path)
  report = check(tmp_path, max_pixels=50 * 50)
  train = report.splits['train']
  assert train.records == 6 and sum(train.examples_per_class) == 5
  assert len(train.bad) == 1
  assert report.problems == (only(report.problems, words),)
  assert report.problems[0].startswith('record 3 of train.tfrecord ')
  assert report.problems[0].endswith('.')


def test_bad_records_of_every_kind_at_once(tmp_path):
  dataset_utils.write_tfrecord(
    tmp_path / 'train.tfrecord',
    [
      *(bad for bad, _ in BAD.values()),
      *(builders.colour_example(label, label) for label in range(5)),
    ],
  )
  dataset_utils.write_label_file(dict(enumerate(NAMES)), tmp_path)
  report = check(tmp_path, max_pixels=50 * 50, threads=3)
  assert len(report.problems) == len(BAD)
  for number, (text, (_, words)) in enumerate(
    zip(report.problems, BAD.values(), strict=True)
  ):
    assert text.startswith(f'record {number} of') and words in text


def test_a_flipped_bit(tmp_path):
  builders.write_colours(tmp_path / 'c', 20, 10)
  path = tmp_path / 'c' / 'flowers_train_00001-of-00002.tfrecord'
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 4
  path.write_bytes(data)
  report = check(tmp_path / 'c', 'flowers')
  only(
    report.problems,
    'flowers_train_00001-of-00002.tfrecord is damaged',
    'checksum',
  )
  assert len(report.problems) == 1
  assert sum(report.splits['train'].examples_per_class) == 19


def test_a_file_cut_short_is_one_bad_record(tmp_path):
  builders.write_colours(tmp_path / 'c', 20, 10)
  path = tmp_path / 'c' / 'flowers_train_00000-of-00002.tfrecord'
  path.write_bytes(path.read_bytes()[:-7])
  report = check(tmp_path / 'c', 'flowers')
  only(report.problems, 'is cut short: record 9')
  train = report.splits['train']
  assert len(report.problems) == len(train.bad) == 1 and train.records == 19


def test_the_cache_of_offsets_is_not_trusted(tmp_path):
  """A header that has rotted since it was read is found."""
  builders.write_colours(tmp_path / 'c', 20, 10)
  dataset_factory.get_dataset('flowers', 'train', str(tmp_path / 'c'))
  path = tmp_path / 'c' / 'flowers_train_00000-of-00002.tfrecord'
  stat = path.stat()
  data = bytearray(path.read_bytes())
  data[9] ^= 1  # the checksum of the first length
  path.write_bytes(data)
  os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
  only(check(tmp_path / 'c', 'flowers').problems, 'at byte 0', 'no record')


def test_a_checksum_that_differs(folder):
  """The records are sound, but they are not those that were written."""
  one, two = files(folder)
  text = pathlib.Path(folder, 'dataset.json').read_text('utf-8')
  values = json.loads(text)
  values['splits']['train']['files'][one.name]['crc32c'] ^= 1
  pathlib.Path(folder, 'dataset.json').write_text(json.dumps(values), 'utf-8')
  report = check(folder)
  assert re.fullmatch(
    rf'{one.name} has the checksum [0-9a-f]{{8}} instead of [0-9a-f]{{8}}\. '
    'Copy it again, or convert the data again.',
    report.problems[0],
  )
  assert len(report.problems) == 1


def test_a_file_of_another_size(folder):
  path = files(folder)[0]
  size = path.stat().st_size
  path.write_bytes(path.read_bytes() + b'more')
  report = check(folder)
  only(
    report.problems, f'{path.name} has {size + 4:,} bytes instead of {size:,}'
  )
  only(report.problems, 'after 10 records, there is no record')


def test_a_file_that_is_missing(folder):
  path = files(folder)[0]
  path.unlink()
  report = check(folder)
  assert report.problems == (
    f'{path.name} is missing, which dataset.json names: copy it again, or '
    'convert the data again.',
  )
  assert report.splits['train'].records == 10


def test_all_files_are_missing(folder):
  for path in files(folder) + files(folder, 'validation'):
    path.unlink()
  report = check(folder)
  assert sum('is missing' in text for text in report.problems) == 4
  only(report.problems, 'The split train has no records')
  assert '\n'.join(table.describe(report))


def test_a_folder_in_the_place_of_a_file(folder):
  path = files(folder)[0]
  path.unlink()
  path.mkdir()
  only(check(folder).problems, path.name, 'is a folder, and no file')


def test_counts_that_do_not_add_up(folder):
  path = pathlib.Path(folder, 'dataset.json')
  values = json.loads(path.read_text('utf-8'))
  train = values['splits']['train']
  train['examples'] += 1
  train['examples_per_class'][2] += 1
  train['files'][files(folder)[0].name]['records'] += 1
  path.write_text(json.dumps(values), 'utf-8')
  report = check(folder)
  assert report.problems == (
    'The split train has 20 records instead of 21. Convert the data again.',
    'The split train is not what dataset.json says: blue has 4 instead of '
    '5. Convert the data again.',
  )


def test_a_split_without_records(tmp_path):
  dataset_utils.write_tfrecord(tmp_path / 'train.tfrecord', [])
  dataset_utils.write_label_file({0: 'a', 1: 'b'}, tmp_path)
  report = check(tmp_path)
  assert report.problems == ('The split train has no records.',)
  assert table.describe(report)


def test_classes_without_examples(tmp_path):
  folder = write(
    tmp_path / 'data',
    train=colours(labels=(0, 1, 3)),
    validation=colours(1000, labels=(0, 1, 2, 3)),
  )
  report = check(folder)
  assert report.problems == (
    'The split train has no example of 2 of the 5 classes: blue, white.',
  )
  assert report.notes == (
    'The split validation has no example of 1 of the 5 classes: white.',
  )


def test_the_background_needs_no_example(tmp_path):
  names = ['background', 'red', 'blue']
  folder = write(tmp_path / 'data', names=names, train=colours(labels=(1, 2)))
  assert check(folder).problems == ()


def test_labels_txt_is_missing(folder):
  pathlib.Path(folder, 'labels.txt').unlink()
  report = check(folder)
  assert report.problems == () and report.class_names == NAMES
  assert report.notes == (
    'There is no labels.txt; the names of the classes '
    'are those of dataset.json.',
  )


def test_labels_txt_is_missing_and_nothing_else_names_the_classes(tmp_path):
  builders.write_colours(tmp_path, 20, 10)
  (tmp_path / 'labels.txt').unlink()
  report = check(tmp_path, 'flowers')
  assert report.notes[0].endswith('the names of the classes are unknown.')
  assert report.class_names[3] == 'class 3'


@pytest.mark.parametrize(
  'text, words',
  [
    ('0:red\n1:green\n2:blau\n3:grey\n4:white\n5:x\n', 'name label 2, 5'),
    ('0:red\n2:blue\n', 'no line for label 1'),
  ],
)
def test_labels_txt_contradicts(folder, text, words):
  pathlib.Path(folder, 'labels.txt').write_text(text, 'utf-8')
  report = check(folder)
  assert len(report.problems) == 1 and words in report.problems[0]


def test_uneven_classes(tmp_path):
  train = [item(0, i) for i in range(22)] + [item(1, 100), item(1, 101)]
  report = check(write(tmp_path / 'a', names=NAMES[:2], train=train))
  assert report.splits['train'].imbalance == 11
  assert report.notes == (
    'The classes of the split train are uneven: the largest has 22 '
    'examples, the smallest 2.',
  )
  report = check(write(tmp_path / 'b', names=NAMES[:2], train=train[2:]))
  assert report.splits['train'].imbalance == 10 and report.notes == ()


def test_duplicates_between_splits(tmp_path):
  folder = write(
    tmp_path / 'data',
    train=colours(),
    validation=[*colours(1000), item(0, 0), item(1, 1)],
  )
  report = check(folder)
  assert report.leaked == {('train', 'validation'): 2}
  assert report.problems == () and report.conflicts == 0
  text = only(
    report.notes,
    'Images of validation that are in train too: 2 of 17.',
    'red/0.png',
    'green/1.png',
    'label 1',
  )
  assert len(re.findall(r'record \d+ of train-', text)) == 2
  assert len(re.findall(r'record \d+ of validation-', text)) == 2


def test_the_same_pixels_in_other_files(tmp_path):
  """PNG and BMP of the same pixels are one image; a reshaped one is not."""
  image = builders.colour_image(0, 0, 16)
  flat = np.asarray(image).reshape(8, 32, 3)
  data = [
    builders.encode(image, 'png'),
    builders.encode(image, 'bmp'),
    builders.encode(Image.fromarray(flat), 'png'),
  ]
  dataset_utils.write_tfrecord(
    tmp_path / 'train.tfrecord',
    [record(data=each) for each in data] + [builders.colour_example(1, 7)],
  )
  dataset_utils.write_label_file({0: 'a', 1: 'b'}, tmp_path)
  report = check(tmp_path)
  assert report.splits['train'].repeated == 1
  assert report.notes == (
    'Images of train that repeat another one of their class: 1 of 4.',
  )


def test_a_image_with_two_labels(tmp_path):
  twice = builders.encode(builders.colour_image(0, 0, 16), 'png')
  train = [*colours(each=2), Item('blue/odd.png', 2, lambda: twice)]
  report = check(write(tmp_path / 'data', train=train))
  text = only(
    report.problems,
    'Images with more than one label: 1.',
    'red/0.png, label 0',
    ' = ',
    'blue/odd.png, label 2',
  )
  assert report.problems == (text,) and report.notes == ()
  assert report.conflicts == 1 and report.splits['train'].repeated == 0


def test_published_data_cannot_be_repaired(tmp_path):
  twice = builders.encode(builders.colour_image(0, 0, 16), 'png')
  train = [*colours(each=2), Item('blue/odd.png', 2, lambda: twice)]
  report = check(write(tmp_path / 'data', name='cifar10', train=train))
  only(report.notes, 'Images with more than one label: 1.')
  assert report.problems == () and report.name == 'cifar10'


def test_two_labels_in_two_splits_are_both_things(tmp_path):
  twice = builders.encode(builders.colour_image(0, 0, 16), 'png')
  report = check(
    write(
      tmp_path / 'data',
      train=colours(),
      validation=[*colours(1000), Item('blue/odd.png', 2, lambda: twice)],
    )
  )
  only(report.problems, 'more than one label: 1')
  only(report.notes, 'in train too: 1 of 16')


def test_bad_records_are_no_duplicates(tmp_path):
  dataset_utils.write_tfrecord(
    tmp_path / 'train.tfrecord',
    [
      record(data=b''),
      record(data=b''),
      record(0),
      builders.colour_example(1, 3),
    ],
  )
  dataset_utils.write_label_file({0: 'a', 1: 'b'}, tmp_path)
  report = check(tmp_path)
  assert len(report.problems) == 2 and report.splits['train'].repeated == 0


def test_tiny_and_huge_images(tmp_path):
  big = [item(label, label, 1030) for label in range(2)]
  small = [item(0, 50, 1), item(1, 51, 7)]
  report = check(
    write(
      tmp_path / 'data',
      names=NAMES[:2],
      train=[*big, *small, *colours(labels=(0, 1))],
    )
  )
  text = only(report.notes, 'with a side below 8 pixels: 2,')
  assert 'red/50.png' in text and 'green/51.png' in text
  only(
    report.notes,
    'with both sides above 1,024 pixels: 2 of 10',
    'copies of about 512',
  )


def test_a_split_without_files_is_a_note(tmp_path):
  builders.write_colours(tmp_path, 20, 10)
  next(tmp_path.glob('*validation*')).unlink()
  report = check(tmp_path, 'flowers')
  assert report.notes == ('The split validation has no files.',)
  assert list(report.splits) == ['train'] and report.problems == ()


@pytest.mark.parametrize(
  'name, words',
  [
    ('flowers', 'There is no file'),
    ('tfrecord', 'no dataset.json'),
    ('flower', 'Did you mean flowers'),
  ],
)
def test_no_data_set(tmp_path, name, words):
  with pytest.raises(ValueError, match=words):
    check(tmp_path, name)


@pytest.mark.slow
def test_the_digits_without_a_folder(monkeypatch, tmp_path):
  report = verify.verify('digits')
  assert report.problems == ()
  assert report.splits['train'].records == 1437
  assert report.splits['train'].heights == (8, 8, 8)


def made(
  classes=5, splits=('train', 'test'), name='class', problems=(), notes=()
):
  """A report that nobody has read."""
  return reports.Report(
    'tfrecord',
    '/data',
    tuple(f'{name}{i}' for i in range(classes)),
    {
      split: reports.SplitReport(
        (f'{split}.tfrecord',),
        1000,
        sum((i * 7) % classes * 1000 for i in range(classes)),
        (),
        tuple((i * 7) % classes * 1000 for i in range(classes)),
        (1, 2, 10000),
        (1, 2, 10000),
        123456,
        0,
      )
      for split in splits
    },
    {},
    0,
    tuple(problems),
    tuple(notes),
  )


def test_the_table_of_a_data_set(folder):
  lines = table.describe(check(folder))
  assert lines == table.describe(check(folder))
  assert lines[0] == f'tfrecord in {folder}: 5 classes'
  cells = [line.split() for line in lines]
  assert ['class', 'train', 'validation', 'share'] in cells
  assert ['2', 'blue', '4', '2', '20.0%'] in cells
  assert ['examples', '20', '10'] in cells
  assert ['bad', 'records', '0', '0'] in cells
  assert ['files', '2', '2'] in cells
  assert ['height,', 'median', '16', '16'] in cells
  assert lines[-1] == 'No problems.'


@pytest.mark.parametrize('classes', [2, 40, 41, 1001])
@pytest.mark.parametrize('name', ['x', 'n' * 300, '薔薇の花' * 30, 'é\n\t$_'])
@pytest.mark.parametrize('splits', [1, 2, 9])
def test_every_line_has_at_most_100_columns(classes, name, splits):
  report = made(
    classes,
    [f'a_split_of_number_{i}' for i in range(splits)],
    name,
    ['word ' * 90, '薔薇 ' * 90],
    ['n ' * 200],
  )
  lines = table.describe(report)
  assert max(map(columns, lines)) <= 100
  assert all(line.isprintable() for line in lines)
  rows = [line for line in lines if line.endswith('%')]
  assert len(rows) == min(classes, 40)
  assert len({columns(line) for line in rows}) == 1  # aligned
  assert ('and 3 more splits' in lines) == (splits == 9)


def test_of_many_classes_the_largest_and_the_smallest_are_shown():
  lines = table.describe(made(1000))
  cells = [line.split() for line in lines if line.endswith('%')]
  counts = [int(row[2].replace(',', '')) for row in cells]
  assert counts == [
    *range(999_000, 979_000, -1000),
    *range(19_000, -1000, -1000),
  ]
  assert '... 960 classes between' in lines


def test_sentences_beyond_the_first_twenty_are_counted():
  lines = table.describe(
    made(problems=[f'Problem {i}.' for i in range(23)], notes=['A note.'])
  )
  assert lines[lines.index('Notes') + 1] == '- A note.'
  first = lines.index('Problems') + 1
  assert lines[first : first + 20] == [f'- Problem {i}.' for i in range(20)]
  assert lines[first + 20] == '- and 3 more'
  assert lines[-1] == '23 problems.'
  assert table.describe(made(problems=['One.']))[-1] == 'One problem.'


def test_a_path_is_not_broken():
  path = '/a' * 80
  assert f'- {path}' in table.describe(made(problems=[f'{path} is missing.']))
