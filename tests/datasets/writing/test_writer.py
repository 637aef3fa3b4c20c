"""A plan's examples as TFRecords: whole, described, or not there at all."""

import contextlib
import errno
import functools
import io
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import types

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from datasets import dataset_utils
from datasets.records import description, tfrecord
from datasets.writing import folders, writer
from datasets.writing.plan import Item, Plan

ROOT = pathlib.Path(__file__).parents[3]
PATTERN = '%s-*.tfrecord'
CLASSES = ['Käse', '猫', 'bird']


def _png(number, height=4, width=5, grey=False):
  pixels = np.random.RandomState(number).randint(
    0, 256, (height, width) if grey else (height, width, 3)
  )
  data = io.BytesIO()
  Image.fromarray(pixels.astype(np.uint8)).save(data, 'png')
  return data.getvalue()


def _item(number, data=None, read=None, **features):
  data = _png(number) if data is None else data
  return Item(
    f'Bild {number}.png', number % 3, read or (lambda: data), features
  )


def _plan(train=12, validation=5):
  return Plan(
    'SOURCE',
    CLASSES,
    {
      'train': [_item(i) for i in range(train)],
      'validation': [_item(i) for i in range(100, 100 + validation)],
    },
  )


def _bad(plan, *numbers, data=b'', split='train'):
  """Replaces images of a plan by something else."""
  for number in numbers:
    plan.splits[split][number] = _item(number, data)
  return plan


def _files(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def _records(folder, *names):
  reader = tfrecord.Reader([str(folder / name) for name in names])
  assert not reader.damages
  return [reader.read(i) for i in range(len(reader))]


def _examples(folder, *names):
  return [
    tf.train.Example.FromString(record).features.feature
    for record in _records(folder, *names)
  ]


def _names(folder, split='train'):
  """The names of a split's examples, in the order of its records."""
  names = description.read(str(folder)).splits[split].files
  return [
    example['image/filename'].bytes_list.value[0].decode()
    for example in _examples(folder, *names)
  ]


def _refused(tmp_path, plan, *words, **options):
  """A sentence, and nothing is left."""
  before = sorted(os.listdir(tmp_path))
  with pytest.raises(ValueError) as error:
    writer.write(plan, tmp_path / 'new', PATTERN, **options)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)
  assert sorted(os.listdir(tmp_path)) == before
  return str(error.value)


def test_what_is_written(tmp_path):
  said, left_out = writer.write(
    _plan(), tmp_path / 'new', PATTERN, num_shards=2
  )
  folder = tmp_path / 'new'
  assert left_out == []
  assert os.listdir(tmp_path) == ['new']
  assert folder.stat().st_mode & 0o777 == 0o755
  shards = [
    f'{split}-{i:05}-of-00002.tfrecord'
    for split in ('train', 'validation')
    for i in (0, 1)
  ]
  assert sorted(os.listdir(folder)) == ['dataset.json', 'labels.txt', *shards]
  assert dataset_utils.read_label_file(folder) == dict(enumerate(CLASSES))
  assert description.read(str(folder)) == said
  assert (said.name, said.class_names) == ('tfrecord', tuple(CLASSES))
  assert list(said.splits) == ['train', 'validation']
  assert [said.splits[split].examples_per_class for split in said.splits] == [
    (4, 4, 4),
    (1, 2, 2),
  ]
  for split, found in said.splits.items():
    assert list(found.files) == [name for name in shards if split in name]
    description.check_files(found, str(folder))
    for name, written in found.files.items():
      data = (folder / name).read_bytes()
      assert written == (
        len(_examples(folder, name)),
        len(data),
        google_crc32c.value(data),
      )
  # An even share for each file.
  assert [
    written.records
    for found in said.splits.values()
    for written in found.files.values()
  ] == [6, 6, 3, 2]


def test_every_example_once(tmp_path):
  plan = _plan()
  writer.write(plan, tmp_path / 'new', PATTERN)
  for split, items in plan.splits.items():
    names = _names(tmp_path / 'new', split)
    assert sorted(names) == sorted(item.name for item in items)
    examples = dict(
      zip(
        names,
        _examples(tmp_path / 'new', f'{split}-00000-of-00001.tfrecord'),
        strict=True,
      )
    )
    for item in items:
      features = examples[item.name]
      assert {
        name: list(getattr(feature, feature.WhichOneof('kind')).value)
        for name, feature in features.items()
      } == {
        'image/encoded': [item.read()],
        'image/format': [b'png'],
        'image/height': [4],
        'image/width': [5],
        'image/class/label': [item.label],
        'image/class/text': [CLASSES[item.label].encode()],
        'image/filename': [item.name.encode()],
      }


def test_further_features(tmp_path):
  features = {
    'image/class/text': b'mine',
    'ints': [3, 4],
    'floats': [0.5],
    'bytes': [b'a', b'b'],
    'none': [],
  }
  writer.write(
    Plan('SOURCE', CLASSES, {'train': [_item(0, **features)]}),
    tmp_path / 'new',
    'x_%s',
  )
  (found,) = _examples(tmp_path / 'new', 'x_train')
  assert found['image/class/text'].bytes_list.value[:] == [b'mine']
  assert found['ints'].int64_list.value[:] == [3, 4]
  assert found['floats'].float_list.value[:] == [0.5]
  assert found['bytes'].bytes_list.value[:] == [b'a', b'b']
  assert found['none'].WhichOneof('kind') is None


def test_images_are_made_standard(tmp_path):
  """A transparent image; the sizes and channels of those that are stored."""
  clear = io.BytesIO()
  Image.new('RGBA', (7, 2), (9, 9, 9, 0)).save(clear, 'png')
  plan = Plan(
    'SOURCE',
    CLASSES,
    {
      'train': [_item(0, _png(0, 9, 3, grey=True)), _item(1, clear.getvalue())],
      'test': [_item(2, _png(2, 4, 4, grey=True))],
    },
  )
  said, _ = writer.write(plan, tmp_path / 'new', '%s')
  assert (said.smallest, said.largest, said.channels) == ((2, 3), (9, 7), 3)
  stored = {
    example['image/width'].int64_list.value[0]: example[
      'image/encoded'
    ].bytes_list.value[0]
    for example in _examples(tmp_path / 'new', 'train')
  }
  assert stored[3] == plan.splits['train'][0].read()
  assert (
    np.asarray(Image.open(io.BytesIO(stored[7]))).tolist()
    == [[[255, 255, 255]] * 7] * 2
  )


def test_grey_images_have_one_channel(tmp_path):
  plan = Plan(
    'S',
    CLASSES,
    {split: [_item(i, _png(i, grey=True))] for i, split in enumerate('ab')},
  )
  assert writer.write(plan, tmp_path / 'new', '%s')[0].channels == 1


@pytest.mark.parametrize(
  'pattern, files',
  [
    ('%s-*', ['train-00000-of-00002', 'train-00001-of-00002']),
    (
      '%s-*.tfrecord',
      ['train-00000-of-00002.tfrecord', 'train-00001-of-00002.tfrecord'],
    ),
    (
      'flowers_%s*.tfrecord',
      [
        'flowers_train-00000-of-00002.tfrecord',
        'flowers_train-00001-of-00002.tfrecord',
      ],
    ),
    ('mnist_%s.tfrecord', ['mnist_train.tfrecord']),
  ],
)
def test_names_of_files(tmp_path, pattern, files):
  plan = Plan('S', CLASSES, {'train': _plan().splits['train']}, 'other')
  said, _ = writer.write(plan, tmp_path / 'new', pattern, num_shards=2)
  assert list(said.splits['train'].files) == files
  assert said.name == 'other'
  assert sorted(os.listdir(tmp_path / 'new')) == sorted(
    ['dataset.json', 'labels.txt', *files]
  )


@pytest.mark.parametrize(
  'examples, shards',
  [(1, 1), (1000, 1), (1001, 2), (3500, 4), (2_000_000, 1024)],
)
def test_a_file_for_each_thousand(examples, shards):
  plan = Plan('S', CLASSES, {'train': range(examples)})
  found = list(writer._shards(plan, '%s-*', 0, None))
  assert [name for _, name, _ in found] == writer.shard_names(
    '%s-*', 'train', shards
  )
  sizes = [len(items) for _, _, items in found]
  assert sum(sizes) == examples and max(sizes) - min(sizes) <= 1


def test_more_files_than_examples(tmp_path):
  said, _ = writer.write(_plan(2, 1), tmp_path / 'new', PATTERN, num_shards=3)
  assert [
    written.records for written in said.splits['train'].files.values()
  ] == [1, 1, 0]
  assert len(_names(tmp_path / 'new')) == 2


def test_order(tmp_path):
  """Fixed by the seed, another one for another seed, and for each split."""

  def order(folder, seed, split='train'):
    if not (tmp_path / folder).exists():
      plan = Plan(
        'S',
        CLASSES,
        {split: [_item(i) for i in range(30)] for split in ('train', 'test')},
      )
      writer.write(plan, tmp_path / folder, PATTERN, seed, num_shards=3)
    return _names(tmp_path / folder, split)

  assert order('a', 7) == order('b', 7)
  assert _files(tmp_path / 'a') == _files(tmp_path / 'b')
  for other in (
    order('c', 8),
    order('a', 7, 'test'),
    [f'Bild {i}.png' for i in range(30)],
  ):
    assert other != order('a', 7) and sorted(other) == sorted(order('a', 7))


def _slow(item, delays):
  number = int(item.name[5:-4])

  def read():
    time.sleep(delays[number])
    return item.read()

  return _item(number, read=read)


def test_threads_do_not_change_a_bit(tmp_path):
  for threads in (1, 2, 7):
    plan = _bad(_plan(40, 9), 3, 17, 30)
    delays = np.random.RandomState(threads).uniform(0, 0.004, 200)
    for items in plan.splits.values():
      items[:] = [_slow(item, delays) for item in items]
    _, left_out = writer.write(
      plan,
      tmp_path / str(threads),
      PATTERN,
      num_shards=5,
      threads=threads,
      skip=3,
    )
    assert left_out == [
      f'Bild {i}.png of SOURCE is empty.' for i in (17, 3, 30)
    ]
  assert (
    _files(tmp_path / '1') == _files(tmp_path / '2') == _files(tmp_path / '7')
  )
  for record in _records(tmp_path / '1', 'train-00000-of-00005.tfrecord'):
    example = tf.train.Example.FromString(record)
    assert record == dataset_utils.serialize(example)  # as in any process


def test_every_image_is_read_once(tmp_path):
  reads = []
  plan = Plan(
    'S',
    CLASSES,
    {
      split: [
        _item(
          i, read=lambda i=i, split=split: reads.append((split, i)) or _png(i)
        )
        for i in range(20)
      ]
      for split in ('train', 'test')
    },
  )
  assert reads == []
  writer.write(plan, tmp_path / 'new', PATTERN, num_shards=4)
  assert sorted(reads) == [
    (split, i) for split in ('test', 'train') for i in range(20)
  ]


@pytest.mark.parametrize('num_shards', [1, 3])
def test_progress(tmp_path, num_shards):
  seen, lock = [], threading.Lock()

  @contextlib.contextmanager
  def progress(total, initial, title):
    seen.append((total, initial, title))

    def update(n):
      assert lock.acquire(blocking=False), 'called by two threads at once'
      seen.append(n)
      lock.release()

    yield types.SimpleNamespace(update=update)
    seen.append('closed')

  writer.write(
    _bad(_plan(), 4),
    tmp_path / 'new',
    PATTERN,
    skip=1,
    num_shards=num_shards,
    progress=progress,
  )
  assert seen == [(17, 0, 'writing'), *[1] * 17, 'closed']


def test_bad_images_are_left_out(tmp_path):
  plan = _bad(_bad(_plan(), 2, data=b'text'), 5, 7)
  del plan.splits['train'][9]
  plan.splits['train'].append(_item(9, read=lambda: open('/nowhere/x').read()))
  plan.splits['validation'][0] = _item(100, _png(0)[:-9])
  said, left_out = writer.write(plan, tmp_path / 'new', PATTERN, skip=5)
  assert left_out == [
    'Bild 100.png of SOURCE is damaged, or is no JPEG, PNG, GIF or BMP image.',
    'Bild 2.png of SOURCE is no image, or is damaged.',
    'Bild 5.png of SOURCE is empty.',
    'Bild 7.png of SOURCE is empty.',
    'Bild 9.png of SOURCE cannot be read: No such file or directory.',
  ]
  assert [said.splits[split].examples_per_class for split in said.splits] == [
    (3, 3, 2),
    (1, 1, 2),
  ]
  assert sorted(_names(tmp_path / 'new')) == sorted(
    f'Bild {i}.png' for i in range(12) if i not in (2, 5, 7, 9)
  )


@pytest.mark.parametrize('bad, skip', [(1, 0), (3, 2), (12, 4)])
def test_one_too_many(tmp_path, bad, skip):
  text = _refused(tmp_path, _bad(_plan(), *range(bad)), skip=skip, num_shards=3)
  name, _, rest = text.partition(' of SOURCE ')
  assert name in {f'Bild {i}.png' for i in range(bad)}
  assert rest == (
    'is empty. Repair or remove it; --skip_bad_examples='
    f'{skip + 1} leaves {skip + 1} such out.'
  )


def test_too_many_pixels(tmp_path):
  _refused(
    tmp_path,
    _plan(),
    'Bild ',
    ' of SOURCE has 5x4 = 20 pixels, more '
    'than --max_image_pixels=19: shrink it, or raise the limit. Repair',
    max_pixels=19,
  )
  writer.write(_plan(), tmp_path / 'new', PATTERN, max_pixels=20)


@pytest.mark.parametrize('pattern', [PATTERN, '%s'])
@pytest.mark.parametrize('empty', ['train', 'validation'])
def test_a_split_without_examples(tmp_path, empty, pattern):
  plan = _plan()
  plan.splits[empty].clear()
  text = _refused(tmp_path, plan)
  assert text == (
    f'The split {empty} of SOURCE has no examples: none is in '
    'the source, or all were left out.'
  )


def test_a_split_of_which_all_is_left_out(tmp_path):
  _refused(
    tmp_path,
    _bad(_plan(), *range(5), split='validation'),
    'The split validation of SOURCE has no examples',
    skip=5,
  )


def test_a_source_without_examples(tmp_path):
  _refused(tmp_path, _plan(0, 0), 'has no examples')


def test_a_folder_that_is_not_empty(tmp_path):
  (tmp_path / 'new').mkdir()
  (tmp_path / 'new' / 'mine').write_text('x')
  _refused(
    tmp_path,
    _plan(),
    f'{tmp_path}/new exists and is not empty: name '
    'another --dataset_dir, or remove it.',
  )
  assert _files(tmp_path / 'new') == {'mine': b'x'}


def test_a_file_of_that_name(tmp_path):
  (tmp_path / 'new').write_text('mine')
  _refused(tmp_path, _plan(), 'exists and is not empty')
  assert (tmp_path / 'new').read_text() == 'mine'


def test_an_empty_folder_is_filled(tmp_path):
  (tmp_path / 'disk').mkdir()
  (tmp_path / 'link').symlink_to('disk')
  writer.write(_plan(), tmp_path / 'link', PATTERN)
  assert (tmp_path / 'link').is_symlink()
  assert len(_names(tmp_path / 'disk')) == 12
  assert sorted(os.listdir(tmp_path)) == ['disk', 'link']


def test_parents_are_made(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  writer.write(_plan(), 'some/deep/folder/', PATTERN)
  assert len(_names(tmp_path / 'some' / 'deep' / 'folder')) == 12
  assert os.listdir(tmp_path / 'some' / 'deep') == ['folder']


@pytest.mark.parametrize(
  'failure',
  [KeyboardInterrupt, RuntimeError('of the reader'), ValueError('A sentence.')],
)
def test_a_read_that_fails(tmp_path, failure):
  """The error comes through, the other threads stop, nothing is left."""
  plan, reads = _plan(300), []

  def read():
    if len(reads) == 20:
      raise failure
    reads.append(1)
    time.sleep(0.002)
    return _png(0)

  plan.splits['train'][:] = [_item(i, read=read) for i in range(300)]
  with pytest.raises(failure if isinstance(failure, type) else type(failure)):
    writer.write(plan, tmp_path / 'new', PATTERN, num_shards=3, threads=3)
  assert os.listdir(tmp_path) == []
  assert len(reads) < 40


@pytest.fixture
def ctrl_c():
  """A Ctrl-C that is heard in a background job too."""
  handler = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield functools.partial(os.kill, os.getpid(), signal.SIGINT)
  signal.signal(signal.SIGINT, handler)


def test_interrupted_while_waiting(tmp_path, ctrl_c):
  """Ctrl-C comes to the main thread, not to those that write."""
  plan, start = _plan(1000), time.monotonic()

  def read():
    time.sleep(0.01)
    if time.monotonic() > start + 0.1 and not sent:
      sent.append(ctrl_c())
    return _png(0)

  sent = []
  plan.splits['train'][:] = [_item(i, read=read) for i in range(1000)]
  with pytest.raises(KeyboardInterrupt):
    writer.write(plan, tmp_path / 'new', PATTERN, num_shards=4, threads=2)
  assert os.listdir(tmp_path) == []
  assert time.monotonic() < start + 4


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(
  'where, name',
  [
    (tfrecord, 'write'),
    (dataset_utils, 'write_label_file'),
    (description, 'write'),
  ],
)
def test_a_full_disk(tmp_path, monkeypatch, where, name, code):
  def full(*_):
    raise OSError(code, 'No space left on device')

  with monkeypatch.context() as patch:
    patch.setattr(where, name, full)
    assert _refused(tmp_path, _plan()) == (
      f'The disk of {tmp_path} is full. Name another --dataset_dir, or free '
      'space.'
    )
  writer.write(_plan(), tmp_path / 'new', PATTERN)


def test_a_full_disk_in_the_middle(tmp_path, monkeypatch):
  """The limit of a file's size stands for it: records are half written."""
  resource = pytest.importorskip('resource')
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  monkeypatch.setattr(errno, 'ENOSPC', errno.EFBIG)
  handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
  try:
    _refused(tmp_path, _plan(200), f'The disk of {tmp_path} is full. Name')
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_parent_that_is_a_file(tmp_path):
  (tmp_path / 'file').write_text('x')
  with pytest.raises(ValueError, match=f'Writing to {tmp_path}/file failed: '):
    writer.write(_plan(), tmp_path / 'file' / 'new', PATTERN)


@pytest.mark.skipif(
  os.name != 'posix' or os.geteuid() == 0, reason='root writes everywhere'
)
def test_a_parent_that_cannot_be_written(tmp_path):
  (tmp_path / 'locked').mkdir(mode=0o500)
  with pytest.raises(ValueError, match='Writing to .*Permission denied'):
    writer.write(_plan(), tmp_path / 'locked' / 'new', PATTERN)


def test_a_parent_that_the_system_keeps():
  if not os.path.isdir('/proc/self'):
    pytest.skip('no /proc')
  with pytest.raises(ValueError, match='Writing to /proc failed: '):
    writer.write(_plan(), '/proc/new', PATTERN)


SLOW = """
import sys, time
from tests.datasets.writing import test_writer
from datasets.writing import writer
plan = test_writer._plan(300)
def read():
  time.sleep(0.02)
  print(flush=True)
  return test_writer._png(0)
plan.splits['train'][:] = [test_writer._item(i, read=read) for i in range(300)]
writer.write(plan, sys.argv[1], test_writer.PATTERN, num_shards=30)
"""


@pytest.mark.slow
def test_killed(tmp_path):
  new = tmp_path / 'new'
  process = subprocess.Popen(
    [sys.executable, '-c', SLOW, str(new)],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
  )
  try:
    for _ in range(40):  # in the middle of the images
      assert process.stdout.readline()
  finally:
    process.kill()
    process.communicate()
  assert not new.exists()
  (left,) = folders.leftovers(new)
  assert os.listdir(tmp_path) == [os.path.basename(left)]
  names = os.listdir(left)
  assert names and not {'dataset.json', 'labels.txt'} & {*names}
  for other in (tmp_path / 'ne', tmp_path / 'new2', tmp_path / 'no' / 'new'):
    assert folders.leftovers(other) == []
  writer.write(_plan(), new, PATTERN)
  assert len(_names(new)) == 12
  assert folders.leftovers(str(new)) == [left]


def test_no_leftovers(tmp_path):
  writer.write(_plan(), tmp_path / 'new', PATTERN)
  assert folders.leftovers(tmp_path / 'new') == []


def test_another_was_faster(tmp_path):
  """What came meanwhile stays."""
  plan = _plan()

  def read():
    (tmp_path / 'new').mkdir(exist_ok=True)
    (tmp_path / 'new' / 'mine').write_text('x')
    return _png(0)

  plan.splits['train'][3] = _item(3, read=read)
  with pytest.raises(ValueError, match='/new exists and is not empty: name '):
    writer.write(plan, tmp_path / 'new', PATTERN)
  assert os.listdir(tmp_path) == ['new']
  assert _files(tmp_path / 'new') == {'mine': b'x'}
