"""Damaged files of every kind: refused in one line, or read rightly.

Mutation n of a kind is the same in every run. FUZZ is how many of each kind
are tried; `make fuzz` tries more. Each ends within seconds, in a ValueError of
one line or in a result that holds together.

What cannot be told: a JPEG whose coefficients have changed, or a BMP whose
pixels have, is a picture like any other; a file of records that ends where
another one would begin is whole (dataset.json knows its size).
"""
import contextlib
import functools
import gzip
import io
import itertools
import json
import os
import pathlib
import random
import signal
import struct
import zlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets import (
  dataset_factory,
  dataset_utils,
  description,
  examples,
  pictures,
  tfrecord,
)
from datasets.convert import cifar, csv_list, idx
from datasets.convert.plan import Options
from engine import input_pipeline
from preprocessing import preprocessing_factory
from tests import fakes

FUZZ = int(os.environ.get('FUZZ', 40))
SECONDS = 10  # for a mutation
CLASSES = 5
MAX_PIXELS = 1_000_000
pytestmark = pytest.mark.filterwarnings('ignore::UserWarning:PIL')
EXTREMES = (0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000,
            0xffffffff, 2 ** 62, 2 ** 63 - 1, 2 ** 64 - 17, 2 ** 64 - 1)


# Mutations.


def _span(data, chance):
  """Two places in the data, seldom far from each other."""
  first = chance.randrange(len(data) + 1)
  return first, min(len(data), first + int(chance.paretovariate(0.7)))


def _flip(data, other, chance):
  at = chance.randrange(len(data))
  return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[
      at + 1:]


def _set(data, other, chance):
  first, end = _span(data, chance)
  return data[:first] + bytes([chance.choice((0, 9, 10, 32, 47, 127, 255))]) * (
      end - first) + data[end:]


def _cut(data, other, chance):
  return data[:chance.randrange(len(data))]


def _insert(data, other, chance):
  at, end = _span(data, chance)
  return data[:at] + chance.randbytes(end - at) + data[at:]


def _delete(data, other, chance):
  first, end = _span(data, chance)
  return data[:first] + data[end:]


def _duplicate(data, other, chance):
  first, end = _span(data, chance)
  return data[:end] + data[first:]


def _swap(data, other, chance):
  a, b, c, d = sorted(chance.randrange(len(data) + 1) for _ in range(4))
  return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _splice(data, other, chance):
  return data[:chance.randrange(len(data))] + other[
      chance.randrange(len(other)):]


def _extreme(data, other, chance):
  """A number that is no length."""
  size = chance.choice((1, 2, 4, 8))
  number = chance.choice(EXTREMES) % 256 ** size
  at = chance.randrange(min(len(data), 64) if chance.random() < 0.5
                        else len(data))
  return data[:at] + number.to_bytes(
      size, chance.choice(('big', 'little'))) + data[at + size:]


MUTATIONS = (_flip, _set, _cut, _insert, _delete, _duplicate, _swap, _splice,
             _extreme)


def mutate(data: bytes, other: bytes, chance: random.Random) -> bytes:
  """Returns the data changed in one place, or in a few."""
  for _ in range(chance.choice((1, 1, 1, 2, 4))):
    if data:
      data = chance.choice(MUTATIONS)(data, other, chance)
  return data


def mutations(kind, sources, count=FUZZ):
  """Yields (number, data): mutations of the sources, in turn."""
  names = list(sources)
  for number in range(count):
    chance = random.Random(f'{kind} {number}')
    data = sources[names[number % len(names)]]
    yield number, mutate(data, sources[chance.choice(names)], chance)


# Outcomes.


class Slow(BaseException):
  """A mutation took too long; nothing that catches an Exception hides it."""


@contextlib.contextmanager
def limited(what):
  """Raises Slow in the middle of what takes too long."""
  def ring(*_):
    raise Slow(what)

  before = signal.signal(signal.SIGALRM, ring)
  signal.alarm(SECONDS)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def attempt(what, function, *words):
  """Returns the function's result, None for a ValueError of one line.

  Args:
    what: the mutation, said where it is the first that fails.
    function: takes nothing.
    words: the error has one of them, such as the path; no matter which error
      if there are none.
  """
  try:
    with limited(what):
      return function()
  except ValueError as error:
    text = str(error)
    assert len(text.splitlines()) == 1, (what, text)
    assert text.isprintable() and len(text) < 600, (what, text)
    assert not words or any(str(word) in text for word in words), (what, text)
    return None
  except Exception as error:
    raise AssertionError(f'{what}: {error!r}') from error


def put(path, data):
  path.write_bytes(data)
  return path


# Files of records.

RECORDS = {
    name: [random.Random(f'{name} {i}').randbytes(size)
           for i, size in enumerate(sizes)]
    for name, sizes in {'one': (40, 0, 300, 1, 77), 'two': (500, 20),
                        'empty': (0, 0, 0)}.items()}


def framed(record):
  length = struct.pack('<Q', len(record))
  return b''.join([length, struct.pack('<I', tfrecord.masked_crc(length)),
                   record, struct.pack('<I', tfrecord.masked_crc(record))])


@pytest.mark.parametrize('name', RECORDS)
def test_record_files(tmp_path, name):
  """What is returned is what was written, and what is not is reported."""
  records, wholes = RECORDS[name], [b'']
  for record in records:
    wholes.append(wholes[-1] + framed(record))
  files = {other: b''.join(map(framed, found))
           for other, found in RECORDS.items()}
  for number in range(FUZZ):
    chance = random.Random(f'{name} {number}')
    data = mutate(files[name], files[chance.choice(list(files))], chance)
    path = put(tmp_path / 'a', data)
    reader = attempt(number, lambda: tfrecord.Reader([str(path)]))
    assert reader is not None
    assert len(reader.damages) <= 1
    reported = list(reader.damages)
    for text in reported:
      assert str(path) in text and len(text.splitlines()) == 1
    for i in range(len(reader)):
      found = attempt(number, lambda: reader.read(i),
                      f'record {i} of {path}')
      reported += [i] if found is None else []
      assert name == 'empty' or found is None or found == records[i], (
          number, i)
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
    place, = kept.iterdir()
    changed = path if kind == 'file' else place
    before = changed.read_bytes()
    data = mutate(before, before, random.Random(f'{kind} {number}'))
    changed.write_bytes(data[:len(before)].ljust(len(before), b'x')
                        if kind == 'file' else data)
    os.utime(path, (1, 1))
    reader = tfrecord.Reader([str(path)], str(kept))
    assert not reader.damages and len(reader) == len(RECORDS['one'])
    for i, record in enumerate(RECORDS['one']):
      found = attempt(number, lambda: reader.read(i), f'record {i} of {path}')
      assert found in (None, record), (number, i)


# Pictures.

SMOOTH = Image.fromarray(np.stack(np.broadcast_arrays(
    np.linspace(0, 255, 45)[:, None], np.linspace(255, 0, 60)[None],
    np.full((1, 1), 90)), -1).astype(np.uint8))
NOISE = fakes.picture(1, 1)
TURNED = Image.Exif()
TURNED[0x0112] = 6


def encode(image, form, **options):
  data = io.BytesIO()
  image.save(data, form, **options)
  return data.getvalue()


JPEGS = {
    'smooth': encode(SMOOTH, 'jpeg'), 'noise': encode(NOISE, 'jpeg'),
    'progressive': encode(SMOOTH, 'jpeg', progressive=True),
    'grey': encode(SMOOTH.convert('L'), 'jpeg'),
    'cmyk': encode(SMOOTH.convert('CMYK'), 'jpeg'),
    'turned': encode(NOISE, 'jpeg', exif=TURNED),
    'restarts': encode(NOISE, 'jpeg', restart_marker_blocks=2),
}
PNGS = {
    'smooth': encode(SMOOTH, 'png'), 'noise': encode(NOISE, 'png'),
    'palette': encode(NOISE.quantize(7), 'png'),
    'alpha': encode(NOISE.convert('RGBA'), 'png'),
    'grey': encode(SMOOTH.convert('LA'), 'png'),
    '16 bits': encode(Image.fromarray(
        np.arange(600, dtype=np.uint16).reshape(20, 30) * 109), 'png'),
}
GIFS = {'smooth': encode(SMOOTH, 'gif'), 'noise': encode(NOISE, 'gif'),
        'interlaced': encode(SMOOTH, 'gif', interlace=1)}
BMPS = {'rgb': encode(NOISE, 'bmp'), 'grey': encode(SMOOTH.convert('L'), 'bmp'),
        'palette': encode(NOISE.quantize(7), 'bmp'),
        'bits': encode(NOISE.convert('1'), 'bmp')}
WEBPS = {'lossy': encode(SMOOTH, 'webp'),
         'lossless': encode(NOISE.convert('RGBA'), 'webp', lossless=True)}
TIFFS = {'raw': encode(SMOOTH, 'tiff'),
         'lzw': encode(NOISE, 'tiff', compression='tiff_lzw'),
         'jpeg': encode(SMOOTH, 'tiff', compression='jpeg'),
         'float': encode(SMOOTH.convert('F'), 'tiff')}


def with_checksums(data):
  """Makes the checksums of a PNG's chunks right, so that all is read."""
  at, data = 8, bytearray(data)
  while at + 12 <= len(data):
    end = at + 8 + int.from_bytes(data[at:at + 4], 'big')
    if end + 4 > len(data):
      break
    data[end:end + 4] = zlib.crc32(data[at + 4:end]).to_bytes(4, 'big')
    at = end + 4
  return bytes(data)


PICTURES = {  # kind: sources, and what is done after
    'jpeg': (JPEGS, bytes), 'png': (PNGS, bytes),
    'png with checksums': (PNGS, with_checksums), 'gif': (GIFS, bytes),
    'bmp': (BMPS, bytes), 'webp': (WEBPS, bytes), 'tiff': (TIFFS, bytes)}
MAGIC = {b'jpeg': b'\xff\xd8\xff', b'png': b'\x89PNG'}


@pytest.fixture(scope='module')
def decoder():
  return pictures.Decoder()


@pytest.mark.parametrize('kind', PICTURES)
def test_picture_files(decoder, kind):
  """What is taken is what TensorFlow decodes, and is taken again."""
  sources, finish = PICTURES[kind]
  for data in sources.values():
    if kind != 'tiff':
      pictures.standard(data, decoder)
  for number, data in mutations(kind, sources):
    found = attempt(number, lambda: pictures.standard(finish(data), decoder))
    if found is None:
      continue
    assert found.data.startswith(MAGIC[found.format]), number
    image = decoder(found.data)
    assert image.shape == (found.height, found.width, 3), number
    if found.channels == 1:
      assert (np.ptp(image, axis=2) == 0).all(), number
    examiner = examples.Examiner(range(CLASSES))
    record = dataset_utils.serialize(dataset_utils.image_to_tfexample(
        found.data, found.format, *image.shape[:2], 0))
    assert (examiner(record).image == image).all(), number
    again = pictures.standard(found.data, decoder)
    assert again == found, number


# Records of pictures.


def example(data, label=0):
  return dataset_utils.serialize(dataset_utils.image_to_tfexample(
      data, b'jpeg', 45, 60, label, {'image/filename': b'a.jpg'}))


EXAMPLES = {
    f'{kind} {name}': example(data, label % CLASSES)
    for kind in ('jpeg', 'png', 'gif', 'bmp')
    for label, (name, data) in enumerate(PICTURES[kind][0].items())}
HOLDERS = {'example': (EXAMPLES, bytes), **{
    kind: (sources, lambda data, finish=finish: example(finish(data)))
    for kind, (sources, finish) in PICTURES.items()}}


def write_split(folder, kind):
  """Writes mutated records, sound in their frames, to a data set's folder."""
  sources, finish = HOLDERS[kind]
  records = [*EXAMPLES.values(), *(
      finish(data) for _, data in mutations(kind, sources))]
  tfrecord.write(folder / 'train-0.tfrecord', records)
  dataset_utils.write_label_file(dict(enumerate('abcde')), folder)
  return records


def examined(kind, records):
  """Returns the good ones among the records by number."""
  examiner = examples.Examiner(range(CLASSES), MAX_PIXELS)
  found = {i: attempt((kind, i), lambda: examiner(record))
           for i, record in enumerate(records)}
  return {i: example for i, example in found.items() if example is not None}


def open_source(folder, train, **options):
  dataset = dataset_factory.get_dataset('tfrecord', 'train', str(folder))
  preprocess = preprocessing_factory.get_preprocessing('vgg', train)
  return input_pipeline.Source(dataset, preprocess, 32, skip=10 ** 6,
                               max_pixels=MAX_PIXELS, **options)


def run(stream, batches):
  """Returns the labels of the batches, in a session that is at its start."""
  with tf.Session() as session:
    session.run(stream.initializer)
    found = []
    with contextlib.suppress(tf.errors.OutOfRangeError):
      for _ in range(batches):
        with limited(len(found)):
          images, labels = stream.run(session, stream.batch)
        assert np.isfinite(images).all()
        found.append(labels)
  return np.concatenate(found)


@pytest.fixture(scope='module', params=HOLDERS)
def split(request, tmp_path_factory):
  folder = tmp_path_factory.mktemp('split')
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('XDG_CACHE_HOME', str(folder / 'cache'))
    records = write_split(folder, request.param)
    yield request.param, folder, records, examined(request.param, records)


def test_evaluation(split, graph):
  """Bad and good are the same records for the pipeline and the Examiner."""
  kind, folder, records, good = split
  source = open_source(folder, False)
  labels = run(source.evaluation(7), len(records))
  assert labels.tolist() == [good[i].label if i in good else -1
                             for i in range(len(records))]
  assert len(source.left_out) == len(records) - len(good)
