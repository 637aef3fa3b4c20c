"""Damaged files of every kind: refused in one line, or read rightly.

See tests/fuzzing.py. Each ends within seconds, in a ValueError of one line or
in a result that holds together.

What cannot be told: a JPEG whose coefficients have changed, or a BMP whose
pixels have, is an image like any other; a file of records that ends where
another one would begin is whole (dataset.json knows its size). In training
without --skip_bad_examples, a JPEG that is damaged outside of the window that
is decoded may pass.
"""

import contextlib
import gzip
import io
import json
import os
import random
import shutil
import struct
import zlib

import h5py
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets import arrays, dataset_factory, dataset_utils, json_files
from datasets.convert import cifar, csv_list, idx, signs
from datasets.convert.masks import (
  ade20k,
  cityscapes,
  coco_instances,
  coco_panoptic,
)
from datasets.images import image_files
from datasets.records import description, examples, tfrecord
from datasets.sources import listing
from datasets.writing.plan import Options
from preprocessing import preprocessing_factory
from tests import builders
from tests.datasets.convert.masks import sources
from tests.fuzzing import (
  FUZZ,
  attempt,
  limited,
  mutate,
  mutations,
  put,
  replant,
)

CLASSES = 5
MAX_PIXELS = 1_000_000
pytestmark = pytest.mark.filterwarnings('ignore::UserWarning:PIL')
# Files of records.

RECORDS = {
  name: [
    random.Random(f'{name} {i}').randbytes(size) for i, size in enumerate(sizes)
  ]
  for name, sizes in {
    'one': (40, 0, 300, 1, 77),
    'two': (500, 20),
    'empty': (0, 0, 0),
  }.items()
}


def framed(record):
  length = struct.pack('<Q', len(record))
  return b''.join(
    [
      length,
      struct.pack('<I', tfrecord.masked_crc(length)),
      record,
      struct.pack('<I', tfrecord.masked_crc(record)),
    ]
  )


@pytest.mark.parametrize('name', RECORDS)
def test_record_files(tmp_path, name):
  """What is returned is what was written, and what is not is reported."""
  records, wholes = RECORDS[name], [b'']
  for record in records:
    wholes.append(wholes[-1] + framed(record))
  files = {
    other: b''.join(map(framed, found)) for other, found in RECORDS.items()
  }
  for number in range(FUZZ):
    chance = random.Random(f'{name} {number}')
    data = mutate(files[name], files[chance.choice(list(files))], chance)
    path = put(tmp_path / 'a', data)
    reader = attempt(number, tfrecord.Reader, [str(path)])
    assert reader is not None
    assert len(reader.damages) <= 1
    reported = list(reader.damages)
    for text in reported:
      assert str(path) in text and len(text.splitlines()) == 1
    for i in range(len(reader)):
      found = attempt(number, reader.read, i, says=[f'record {i} of {path}'])
      reported += [i] if found is None else []
      assert name == 'empty' or found is None or found == records[i], (
        number,
        i,
      )
      assert found in (None, *records)
    assert reported or name == 'empty' or data in wholes, number


@pytest.mark.parametrize('kind', ['file', 'places'])
def test_records_whose_places_are_known(tmp_path, kind):
  """The file, or what is kept of it, has changed since; its time has not."""
  path, kept = tmp_path / 'a', tmp_path / 'kept'
  original = b''.join(map(framed, RECORDS['one']))
  for number in range(FUZZ):
    put(path, original)
    os.utime(path, (1, 1))
    for old in kept.glob('*'):
      old.unlink()
    tfrecord.find_records(str(path), str(kept))
    (place,) = kept.iterdir()
    changed = path if kind == 'file' else place
    before = changed.read_bytes()
    data = mutate(before, before, random.Random(f'{kind} {number}'))
    changed.write_bytes(
      data[: len(before)].ljust(len(before), b'x') if kind == 'file' else data
    )
    os.utime(path, (1, 1))
    reader = tfrecord.Reader([str(path)], str(kept))
    assert not reader.damages and len(reader) == len(RECORDS['one'])
    for i, record in enumerate(RECORDS['one']):
      found = attempt(number, reader.read, i, says=[f'record {i} of {path}'])
      assert found in (None, record), (number, i)


# Images.

SMOOTH = Image.fromarray(
  np.stack(
    np.broadcast_arrays(
      np.linspace(0, 255, 45)[:, None],
      np.linspace(255, 0, 60)[None],
      np.full((1, 1), 90),
    ),
    -1,
  ).astype(np.uint8)
)
NOISE = builders.colour_image(1, 1)
TURNED = Image.Exif()
TURNED[0x0112] = 6


def encode(image, form, **options):
  data = io.BytesIO()
  image.save(data, form, **options)
  return data.getvalue()


JPEGS = {
  'smooth': encode(SMOOTH, 'jpeg'),
  'noise': encode(NOISE, 'jpeg'),
  'progressive': encode(SMOOTH, 'jpeg', progressive=True),
  'grey': encode(SMOOTH.convert('L'), 'jpeg'),
  'cmyk': encode(SMOOTH.convert('CMYK'), 'jpeg'),
  'turned': encode(NOISE, 'jpeg', exif=TURNED),
  'restarts': encode(NOISE, 'jpeg', restart_marker_blocks=2),
}
PNGS = {
  'smooth': encode(SMOOTH, 'png'),
  'noise': encode(NOISE, 'png'),
  'palette': encode(NOISE.quantize(7), 'png'),
  'alpha': encode(NOISE.convert('RGBA'), 'png'),
  'grey': encode(SMOOTH.convert('LA'), 'png'),
  '16 bits': encode(
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 109),
    'png',
  ),
}
GIFS = {
  'smooth': encode(SMOOTH, 'gif'),
  'noise': encode(NOISE, 'gif'),
  'interlaced': encode(SMOOTH, 'gif', interlace=1),
}
BMPS = {
  'rgb': encode(NOISE, 'bmp'),
  'grey': encode(SMOOTH.convert('L'), 'bmp'),
  'palette': encode(NOISE.quantize(7), 'bmp'),
  'bits': encode(NOISE.convert('1'), 'bmp'),
}
WEBPS = {
  'lossy': encode(SMOOTH, 'webp'),
  'lossless': encode(NOISE.convert('RGBA'), 'webp', lossless=True),
}
TIFFS = {
  'raw': encode(SMOOTH, 'tiff'),
  'lzw': encode(NOISE, 'tiff', compression='tiff_lzw'),
  'jpeg': encode(SMOOTH, 'tiff', compression='jpeg'),
  'float': encode(SMOOTH.convert('F'), 'tiff'),
}


def with_checksums(data):
  """Makes the checksums of a PNG's chunks right, so that all is read."""
  at, data = 8, bytearray(data)
  while at + 12 <= len(data):
    end = at + 8 + int.from_bytes(data[at : at + 4], 'big')
    if end + 4 > len(data):
      break
    data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, 'big')
    at = end + 4
  return bytes(data)


IMAGES = {  # kind: sources, and what is done after
  'jpeg': (JPEGS, bytes),
  'png': (PNGS, bytes),
  'png with checksums': (PNGS, with_checksums),
  'gif': (GIFS, bytes),
  'bmp': (BMPS, bytes),
  'webp': (WEBPS, bytes),
  'tiff': (TIFFS, bytes),
}
MAGIC = {b'jpeg': b'\xff\xd8\xff', b'png': b'\x89PNG'}


@pytest.fixture(scope='module')
def decoder():
  return image_files.Decoder()


@pytest.mark.parametrize('kind', IMAGES)
def test_image_files(decoder, kind):
  """What is taken is what TensorFlow decodes, and is taken again."""
  sources, finish = IMAGES[kind]
  for data in sources.values():
    if kind != 'tiff':
      image_files.standard(data, decoder)
  for number, data in mutations(kind, sources):
    found = attempt(number, image_files.standard, finish(data), decoder)
    if found is None:
      continue
    assert found.data.startswith(MAGIC[found.format]), number
    image = decoder(found.data)
    assert image.shape == (found.height, found.width, 3), number
    if found.channels == 1:
      assert (np.ptp(image, axis=2) == 0).all(), number
    examiner = examples.Examiner(range(CLASSES))
    record = dataset_utils.serialize(
      dataset_utils.image_to_tfexample(
        found.data, found.format, *image.shape[:2], 0
      )
    )
    assert (examiner(record).image == image).all(), number
    again = image_files.standard(found.data, decoder)
    assert again == found, number


# Records of images.


def example(data, label=0):
  return dataset_utils.serialize(
    dataset_utils.image_to_tfexample(
      data, b'jpeg', 45, 60, label, {'image/filename': b'a.jpg'}
    )
  )


EXAMPLES = {
  f'{kind} {name}': example(data, label % CLASSES)
  for kind in ('jpeg', 'png', 'gif', 'bmp', 'webp', 'tiff')
  for label, (name, data) in enumerate(IMAGES[kind][0].items())
}
HOLDERS = {
  'example': (EXAMPLES, bytes),
  **{
    kind: (sources, lambda data, finish=finish: example(finish(data)))
    for kind, (sources, finish) in IMAGES.items()
    if kind not in ('png', 'webp', 'tiff')
  },
}


class Split:
  """A dataset of records whose frames are sound, and what is right of it.

  Attributes:
    folder: of the dataset.
    labels: of each record, or what is wrong with it.
  """

  def __init__(self, folder):
    self.folder = str(folder)
    records = [
      *EXAMPLES.values(),
      *(
        finish(data)
        for kind, (sources, finish) in HOLDERS.items()
        for _, data in mutations(kind, sources)
      ),
    ]
    tfrecord.write(folder / 'train-0.tfrecord', records)
    dataset_utils.write_label_file(dict(enumerate('abcde')), folder)
    self.labels = []
    examiner = examples.Examiner(range(CLASSES), MAX_PIXELS)
    for number, record in enumerate(records):
      with limited(number):
        try:
          found = examiner(record)
          assert found.image.shape[2] == 3 and found.data
          self.labels.append(found.label)
        except examples.BadExample as bad:
          assert str(bad).isprintable()
          self.labels.append(str(bad))

  @property
  def bad(self):
    """The numbers of the bad records."""
    return {
      number
      for number, label in enumerate(self.labels)
      if isinstance(label, str)
    }

  def source(self, train):
    preprocess = preprocessing_factory.get_preprocessing('vgg', train)
    return builders.source(
      dataset_factory.get_dataset('tfrecord', 'train', self.folder),
      preprocess,
      32,
      skip=len(self.labels),
      max_pixels=MAX_PIXELS,
    )

  def left_out(self, source):
    """The numbers of the records that were left out; each is bad."""
    found = set()
    for sentence in source.left_out:
      number = int(sentence.split()[1])
      assert sentence.startswith(
        f'record {number} of {self.folder}/train-0.tfrecord '
      )
      assert f' {self.labels[number]}: repair' in sentence
      found.add(number)
    assert len(found) == len(source.left_out)
    return found


@pytest.fixture(scope='module')
def split(tmp_path_factory):
  folder = tmp_path_factory.mktemp('split')
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('XDG_CACHE_HOME', str(folder / 'cache'))
    yield Split(folder)


def run(stream, batches):
  """Returns the labels of the batches; -1 where another stands in."""
  found = []
  with tf.Session() as session, contextlib.suppress(tf.errors.OutOfRangeError):
    session.run(stream.initializer)
    for number in range(batches):
      with limited(f'batch {number}', 60):  # it may examine hundreds
        images, labels, records = stream.run(session, stream.batch)
      assert np.isfinite(images).all()
      found += np.where(records >= 0, labels, -1).tolist()
  return found


def test_evaluation(split, graph):
  """What is good is used as it is, and what is bad is left out."""
  source = split.source(False)
  labels = run(source.evaluation(16), len(split.labels))
  left_out = split.left_out(source)
  for number, (label, right) in enumerate(
    zip(labels, split.labels, strict=True)
  ):
    assert label == (-1 if number in left_out else right), number
  assert left_out == split.bad


def test_training(split, graph):
  """In an epoch all that is bad is left out, and nothing else."""
  source = split.source(True)
  labels = run(source.training(64, 1, 0), 2 + len(split.labels) // 64)
  assert split.left_out(source) == split.bad
  assert len(labels) > len(split.labels)
  assert set(labels) <= set(range(CLASSES))


# Texts.

LABELS = {
  'plain': b'0:daisy\n1:rose\n2:tulip\n',
  'one': b'0:a',
  'odd': '\ufeff0: K\u00e4se: Gouda\r\n\r\n2:\u732b\r\n1:\r\n'.encode(),
}


def test_label_files(tmp_path):
  for number, data in mutations('labels', LABELS, 4 * FUZZ):
    path = put(tmp_path / 'labels.txt', data)
    names = attempt(
      number, dataset_utils.read_label_file, tmp_path, says=[path]
    )
    if names is not None:
      assert list(names) == list(range(len(names))), number
      assert all(
        name == name.strip() and '\n' not in name for name in names.values()
      ), number


DESCRIBED = description.Description(
  'tfrecord',
  ('K\u00e4se', 'b', 'c'),
  3,
  (8, 9),
  (30, 20),
  {
    'train': description.Split(
      {
        'train-0.tfrecord': tfrecord.Written(2, 90, 2**32 - 1),
        'train-1.tfrecord': tfrecord.Written(1, 45, 7),
      },
      (1, 2, 0),
    ),
    'test': description.Split(
      {'test-0.tfrecord': tfrecord.Written(0, 0, 0)}, (0, 0, 0)
    ),
  },
)


@pytest.mark.parametrize('kind', ['bytes', 'values'])
def test_descriptions(tmp_path, kind):
  path = tmp_path / 'dataset.json'
  description.write(DESCRIBED, tmp_path)
  original = path.read_bytes()
  for number in range(2 * FUZZ):
    chance = random.Random(f'json {number}')
    if kind == 'bytes':
      path.write_bytes(mutate(original, original, chance))
    else:
      values = json.loads(original)
      for _ in range(chance.choice((1, 1, 2))):
        replant(values, chance)
      path.write_text(json.dumps(values), 'utf-8')
    found = attempt(number, description.read, str(tmp_path), says=[path])
    if found is not None:
      check_description(found, path)
      attempt(
        number, dataset_factory.get_dataset, found.name, 'train', str(tmp_path)
      )


def check_description(found, path):
  values = json.loads(path.read_text('utf-8'))
  assert values['num_classes'] == len(found.class_names) > 1
  for name in (found.name, *found.class_names, *found.splits):
    name.encode()
    assert len(f'{name}.'.splitlines()) == 1
  for split in found.splits.values():
    assert len(split.examples_per_class) == len(found.class_names)
    assert split.examples == sum(file.records for file in split.files.values())
    for name in split.files:
      assert (
        os.path.dirname(os.path.normpath(os.path.join('/folder', name)))
        == '/folder'
      )


# Sources of converters.


def check_plan(number, found, classes=None):
  """Its labels are of its classes, and what it names can be read."""
  names = found.class_names
  assert classes in (None, len(names)) and len(set(names)) == len(names)
  assert set(found.splits) <= {'train', 'validation', 'test'}
  for name in (
    *names,
    *(item.name for items in found.splits.values() for item in items),
  ):
    assert name.isprintable() and name.strip(), (number, name)
  for items in found.splits.values():
    for item in items:
      assert 0 <= item.label < len(names), number
      assert attempt(number, item.read), (number, item.name)


CSVS = {
  'names': b'path,label\na.png,red\nb/c.png,"blue, dark"\n'
  b'"d ""e"".png",red\na.png,red\nf.png,"blue, dark"\n',
  'splits': b'label,note,path,split\r\n1,x,a.png,train\r\n0,y,f.png,val\r\n'
  b'0,,b/c.png,train\r\n',
}


def test_csv_files(tmp_path):
  (tmp_path / 'b').mkdir()
  for name in ('a.png', 'b/c.png', 'd "e".png', 'f.png'):
    put(tmp_path / name, PNGS['noise'])
  for number, data in mutations('csv', CSVS, 4 * FUZZ):
    path = put(tmp_path / 'list.csv', data)
    found = attempt(
      number,
      csv_list.plan,
      str(path),
      Options(),
      says=[path, 'No class has two examples'],
    )
    if found is not None:
      check_plan(number, found)


def idx_file(*shape):
  data = random.Random(str(shape)).randbytes(int(np.prod(shape)))
  if len(shape) == 1:
    data = bytes(byte % 10 for byte in data)
  return struct.pack(f'>{1 + len(shape)}I', 0x800 + len(shape), *shape) + data


IDX = {
  'train-images-idx3-ubyte': idx_file(6, 5, 4),
  'train-labels-idx1-ubyte': idx_file(6),
  't10k-images-idx3-ubyte': idx_file(2, 5, 4),
  't10k-labels-idx1-ubyte': idx_file(2),
}
IDX_GZ = {
  f'{name}.gz': gzip.compress(data, mtime=0) for name, data in IDX.items()
}
CIFAR = {
  **{
    name: b''.join(
      bytes([i]) + random.Random(f'{name} {i}').randbytes(cifar.PIXELS)
      for i in range(2)
    )
    for split in cifar.FILES_10.values()
    for name in split
  },
  'batches.meta.txt': b''.join(b'c%d\n' % i for i in range(10)),
}
FOLDERS = {
  'idx': (IDX, idx.plan_mnist),
  'gzipped idx': (IDX_GZ, idx.plan_mnist),
  'cifar': (CIFAR, cifar.plan_cifar10),
}


@pytest.mark.parametrize('kind', FOLDERS)
def test_folders_of_binary_files(tmp_path, kind):
  files, plan = FOLDERS[kind]
  for name, data in files.items():
    put(tmp_path / name, data)
  names = list(files)
  for number, data in mutations(kind, files):
    path = tmp_path / names[number % len(names)]
    put(path, data)
    found = attempt(number, plan, str(tmp_path), Options(), says=[tmp_path])
    if found is not None:
      check_plan(number, found, 10)
    put(path, files[path.name])


def hdf5(split):
  """A file of one sign, as those of the course."""
  data = io.BytesIO()
  with h5py.File(data, 'w') as file:
    chance = np.random.default_rng(0)
    file[f'{split}_set_x'] = chance.integers(
      0, 256, (1, signs.SIDE, signs.SIDE, 3), np.uint8
    )
    file[f'{split}_set_y'] = np.array([3])
    file['list_classes'] = np.arange(6)
  return data.getvalue()


SIGNS = {name: hdf5(split) for split, name in signs.FILES.items()}


def test_hdf5_files(tmp_path):
  """Of pixels there is no checksum, so a changed one is not told."""
  for name, data in SIGNS.items():
    put(tmp_path / name, data)
  names = list(SIGNS)
  for number, data in mutations('hdf5', SIGNS, 4 * FUZZ):
    name = names[number % len(names)]
    put(tmp_path / name, data)
    found = attempt(number, signs.plan, str(tmp_path), Options(), says=[name])
    if found is not None:
      check_plan(number, found, 6)
    put(tmp_path / name, SIGNS[name])


MASKED = {
  'instances': (
    coco_instances,
    sources.instances,
    [
      sources.an_object(3, sources.LEFT),
      sources.an_object(18, sources.RIGHT, iscrowd=1),
      sources.an_object(18, {**sources.RIGHT, 'counts': '^3@'}, 2),
    ],
  ),
  'panoptic': (coco_panoptic, sources.panoptic),
  'ADE20K': (ade20k, sources.ade20k),
  'Cityscapes': (cityscapes, sources.cityscapes),
}


# Files of Cityscapes that do not matter for masks.
_UNREAD = ('_leftImg8bit', '_instanceIds', '_polygons')


@pytest.mark.parametrize('kind', MASKED)
def test_sources_of_masks(tmp_path, kind):
  """A mask has the values that its plan says, or is refused."""
  converter, write, *arguments = MASKED[kind]
  write(tmp_path, *arguments)
  if kind == 'ADE20K':
    names = ''.join(f'{i}\t0.1\tclass {i}\n' for i in range(1, 151))
    (tmp_path / ade20k.INFO).write_text(f'Idx\tRatio\tName\n{names}')
  files = {
    str(path.relative_to(tmp_path)): path.read_bytes()
    for path in sorted(tmp_path.rglob('*'))
    if path.is_file() and not path.stem.endswith(_UNREAD)
    if path.suffix != '.jpg'
  }
  changed = list(files)
  options = Options(max_pixels=MAX_PIXELS)
  read = 0
  for number, data in mutations(kind, files, 4 * FUZZ):
    name = changed[number % len(files)]
    chance = random.Random(f'{kind} tree {number}')
    if name.endswith('json') and chance.random() < 0.5:
      values = json.loads(files[name])
      replant(values, chance)
      data = json.dumps(values).encode()
    put(tmp_path / name, data)
    found = attempt(
      number, converter.plan, str(tmp_path), options, says=[tmp_path]
    )
    for items in found.splits.values() if found else ():
      for item in items:
        mask = attempt(number, item.read_mask, says=['has '])
        if mask is not None:
          read += 1
          known = np.arange(256) < len(found.class_names)
          known[255] = True
          assert mask.dtype == np.uint8 and known[mask].all(), (number, name)
    put(tmp_path / name, files[name])
  assert read > FUZZ


# Folders of records that do not describe themselves.

SHARDS = {
  f'train-{i:05}-of-00004.tfrecord': [
    example(data, i) for data in list(JPEGS.values())[: i + 1]
  ]
  for i in range(4)
}


def _damage(folder, chance):
  """Changes one of the files of a folder, or what they are."""
  names = sorted(SHARDS)
  path = folder / chance.choice(names)
  other = folder / chance.choice(names)
  records = SHARDS[path.name]
  kind = chance.randrange(10)
  if kind == 0:
    path.unlink()
  elif kind == 1:
    path.write_bytes(b'')
  elif kind == 2:
    path.unlink()
    path.mkdir()
  elif kind == 3:
    path.unlink()
    os.mkfifo(path)
  elif kind == 4:
    tfrecord.write(path, records[: chance.randrange(len(records))])
  elif kind == 5:
    tfrecord.write(path, chance.choices(records, k=len(records) + 1))
  elif kind == 6:
    path.write_bytes(other.read_bytes())
  elif kind == 7:
    numbers = chance.randrange(6), chance.choice((2, 4, 5))
    path.rename(folder / 'train-{:05}-of-{:05}.tfrecord'.format(*numbers))
  elif kind == 8:
    suffix = chance.choice(('.bak', '.1', ' (1)', '.tfrecord'))
    put(folder / (path.name + suffix), path.read_bytes())
  else:
    data = path.read_bytes()
    put(path, mutate(data, other.read_bytes(), chance))


def test_undescribed_folders(tmp_path, monkeypatch):
  """Nothing is lost, added or changed in silence."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  folder, original = tmp_path / 'data', tmp_path / 'original'
  original.mkdir()
  for name, records in SHARDS.items():
    tfrecord.write(original / name, records)
  dataset_utils.write_label_file(dict(enumerate('abcde')), original)
  whole, told = sorted(sum(SHARDS.values(), [])), 0
  arguments = 'tfrecord', 'train', str(folder)
  for number in range(4 * FUZZ):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder)
    if not number:  # what is kept of it
      assert dataset_factory.get_dataset(*arguments).notes == []
    _damage(folder, random.Random(f'folder {number}'))
    found = attempt(
      number, dataset_factory.get_dataset, *arguments, says=[folder]
    )
    if found is None:
      told += 1
      continue
    reader = tfrecord.Reader(found.data_sources)
    records = [
      attempt(number, reader.read, i, says=[folder]) for i in range(len(reader))
    ]
    if found.notes or reader.damages or None in records:
      told += 1
    else:
      assert sorted(records) == whole, number
  assert told > 2 * FUZZ


# What is no file.

READERS = {
  'a list': (csv_list.plan, 'a.csv'),
  'a description': (description.read, 'dataset.json'),
  'a labels file': (dataset_utils.read_label_file, 'labels.txt'),
  'an array': (arrays.read, 'a.npy'),
  'JSON': (json_files.read, 'a.json'),
  'an image': (listing.read_file, 'a.png'),
  'records': (lambda path: tfrecord.Reader([path]), 'a.tfrecord'),
  'kept places': (
    lambda path: tfrecord.Reader([path], f'{path}-cache'),
    'a.tfrecord',
  ),
}


@pytest.mark.parametrize('kind', ['pipe', 'device', 'folder'])
@pytest.mark.parametrize('name', READERS)
def test_what_is_no_file(tmp_path, name, kind):
  read, file = READERS[name]
  path = tmp_path / file
  {
    'pipe': os.mkfifo,
    'device': lambda path: path.symlink_to('/dev/zero'),
    'folder': os.mkdir,
  }[kind](path)
  takes_folder = file in ('dataset.json', 'labels.txt')
  arguments = [str(tmp_path if takes_folder else path)]
  if file == 'a.csv':
    arguments.append(Options())
  with limited(name), pytest.raises(ValueError) as error:
    read(*arguments)
  assert str(path) in str(error.value)
  assert str(error.value).isprintable()
