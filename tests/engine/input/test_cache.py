"""Images decoded once: the same batches, and no stale or damaged file."""

import concurrent.futures
import errno
import io
import os
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets import dataset_factory, dataset_utils
from datasets.records import examples, tfrecord
from engine.config.parts import pipeline
from engine.input import cache
from preprocessing import preprocessing_factory
from tests import builders, golden

N, BAD = 11, 4
KINDS = pipeline.CACHES


def record(number, form='png', label=None, cut=None):
  """An image whose size depends on its number."""
  data = io.BytesIO()
  Image.fromarray(golden.photo(number, 20 + number, 30 - number)).save(
    data, form
  )
  return dataset_utils.image_to_tfexample(
    data.getvalue()[:cut],
    form.encode(),
    20 + number,
    30 - number,
    number if label is None else label,
  ).SerializeToString()


@pytest.fixture(autouse=True)
def folder(graph, monkeypatch, tmp_path):
  """The folder of the decoded images."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home'))
  return tmp_path / 'home/slim-resnets/decoded'


@pytest.fixture
def decoded(monkeypatch):
  """What has been decoded for caches: a list of records' bytes."""
  found, examine = [], examples.Examiner.__call__

  def count(self, data):
    found.append(data)
    return examine(self, data)

  monkeypatch.setattr(examples.Examiner, '__call__', count)
  return found


@pytest.fixture
def path(tmp_path):
  return tmp_path / 'a.tfrecord'


@pytest.fixture
def write(path):
  """write(form, bad=(), **options): the dataset; some images cut short."""

  def make(form='png', bad=(), **options):
    tfrecord.write(
      path,
      (
        record(number, form, cut=-60 if number in bad else None, **options)
        for number in range(N)
      ),
    )

  make()
  return make


@pytest.fixture
def open_source(write, path):
  """open_source(kind=None, recipe='vgg', **options)."""

  def build(kind=None, recipe='vgg', **options):
    return builders.source(
      dataset_factory.make_dataset('noise', 'train', [str(path)], N, None),
      preprocessing_factory.get_preprocessing(recipe, True),
      8,
      cache=kind,
      **options,
    )

  return build


def same(got, want):
  for one, other in zip(got, want, strict=True):
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.images.tobytes() == other.images.tobytes()


@pytest.mark.parametrize('recipe', ['vgg', 'inception'])
def test_the_bits_are_those_without_a_cache(open_source, fetch, recipe):
  """In training from any step, and in evaluation."""
  want = fetch(open_source(recipe=recipe).training(4, 3, 0), 5)
  for kind, start in zip(KINDS, (0, 2), strict=True):
    source = open_source(kind, recipe, num_threads=1 + 3 * start)
    same(fetch(source.training(4, 3, start), 5 - start), want[start:])
    labels = np.concatenate([b.labels for b in fetch(source.evaluation(4))])
    assert labels.tolist() == list(range(N))


@pytest.mark.parametrize('kind', KINDS)
def test_jpegs(open_source, write, fetch, kind):
  """The whole is decoded, and cut, where otherwise the cut is decoded.

  Colours are smoothed across the rim of a cut in the one case only; that is a
  quarter of the step between two colours at the most.
  """
  write('jpeg')
  batches = [fetch(open_source(k).training(N, 3, 0), 2) for k in (None, kind)]
  for (images, labels, _), (other, same_labels, _) in zip(
    *batches, strict=True
  ):
    np.testing.assert_array_equal(labels, same_labels)
    np.testing.assert_allclose(images, other, atol=64)
  whole = fetch(open_source(kind).evaluation(N))[0].labels
  assert whole.tolist() == list(range(N))


def test_a_file_is_found_again(open_source, decoded, fetch, folder):
  """Nothing is decoded but the largest image, for its size."""
  progress = []

  class Bar:
    def __enter__(self):
      return self

    def __exit__(self, *error):
      pass

    def update(self, count):
      progress.append(count)

  def begin(*arguments):
    progress.append(arguments)
    return Bar()

  first = open_source('file', progress=begin)
  assert len(decoded) == N and progress == [(N, 0, 'decoding'), N]
  decoded.clear()
  second = open_source('file', progress=begin)
  assert len(decoded) == 1 and len(progress) == 2
  same(fetch(second.training(4, 0, 0), 3), fetch(first.training(4, 0, 0), 3))
  assert sorted(file.suffix for file in folder.iterdir()) == ['.npz', '.raw']


def test_memory_is_filled_by_each(open_source, decoded, folder):
  for count in (N, 2 * N):
    open_source('memory')
    assert len(decoded) == count
  assert not folder.exists()


def test_a_file_of_other_data_is_not_used(
  open_source, write, path, decoded, fetch
):
  open_source('file')
  write(label=7)
  labels = fetch(open_source('file').evaluation(N))[0].labels
  assert labels.tolist() == [7] * N and len(decoded) == 2 * N
  os.utime(path, ns=(1, 1))  # of the same size, and of another time
  open_source('file')
  assert len(decoded) == 3 * N


@pytest.mark.slow
@pytest.mark.parametrize('suffix', ['.raw', '.npz'])
@pytest.mark.parametrize(
  'harm',
  [
    lambda file: file.write_bytes(file.read_bytes()[:-100]),
    lambda file: file.write_bytes(b''),
    lambda file: file.write_bytes(file.read_bytes()[:100]),
    pathlib.Path.unlink,
  ],
  ids=['end', 'empty', 'begin', 'gone'],
)
def test_a_damaged_file_is_made_anew(
  open_source, decoded, fetch, folder, suffix, harm
):
  open_source('file')
  decoded.clear()
  (file,) = folder.glob('*' + suffix)
  harm(file)
  source = open_source('file')
  assert len(decoded) == N
  same(
    fetch(source.training(N, 0, 0), 1),
    fetch(open_source().training(N, 0, 0), 1),
  )


@pytest.mark.parametrize('kind', KINDS)
def test_a_bad_record(open_source, write, path, fetch, kind):
  """It is named before anything is trained, and left out if it may be."""
  write(bad=[BAD])
  with pytest.raises(
    ValueError,
    match=(
      f'record {BAD} of {path} holds an image that is damaged.*'
      '--skip_bad_examples=1 leaves it out'
    ),
  ):
    open_source(kind)
  want = fetch(open_source(skip=1).training(4, 3, 0), 5)
  for start in (0, 2):  # the second finds the file
    source = open_source(kind, skip=1)
    assert len(source.left_out) == 1
    same(fetch(source.training(4, 3, start), 5 - start), want[start:])
    assert len(source.left_out) == 1
  labels = counted(fetch(source.evaluation(N))[0])
  assert labels == [number if number != BAD else -1 for number in range(N)]
  with pytest.raises(ValueError, match='--skip_bad_examples=1 leaves it out'):
    open_source(kind)


def test_the_cure_counts_all(open_source, write):
  write(bad=[BAD, 8])
  open_source('file', skip=2)
  with pytest.raises(ValueError, match='--skip_bad_examples=2 leaves 2 such'):
    open_source('file', skip=1)


def counted(batch):
  """The labels, -1 where another example stands in for a bad one."""
  return np.where(batch.records >= 0, batch.labels, -1).tolist()


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
def test_labels_offset(open_source, write, path, fetch, kind):
  """The file holds labels as they were written."""
  with pytest.raises(ValueError, match='label 0, which is not in 1 to 10'):
    open_source(kind, labels_offset=1)
  for offset in (1, 0, 1):
    source = open_source(kind, labels_offset=offset, skip=1)
    labels = counted(fetch(source.evaluation(N))[0])
    assert labels == ([-1] if offset else [0]) + list(
      range(1 - offset, N - offset)
    )
    assert len(source.left_out) == offset


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
def test_max_pixels(open_source, fetch, kind):
  """With another limit than the file was made with."""
  limit = 26 * 24  # what numbers 4 to 6 exceed or not
  sizes = [(20 + i) * (30 - i) for i in range(N)]
  large = [i for i in range(N) if sizes[i] >= limit]
  for most in (10**6, limit - 1, 10**6):
    source = open_source(kind, max_pixels=most, skip=len(large))
    labels = counted(fetch(source.evaluation(N))[0])
    left_out = large if most < limit else []
    assert labels == [-1 if i in left_out else i for i in range(N)]


def test_no_room_in_memory(open_source, monkeypatch):
  size = sum((20 + i) * (30 - i) * 3 for i in range(N))
  monkeypatch.setattr(cache, '_free_memory', lambda: 2 * size)
  open_source('memory')
  monkeypatch.setattr(cache, '_free_memory', lambda: 2 * size - 2)
  with pytest.raises(
    ValueError,
    match=(
      f'--cache=memory: after {N - 1} images half of the free memory .* is '
      'full. --cache=file keeps them on disk; without --cache none'
    ),
  ):
    open_source('memory')


def test_the_free_memory():
  """Pages that hold files count as free."""
  free = cache._free_memory()
  assert (
    10**7 < free <= os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
  )


def test_the_disk_is_full(open_source, monkeypatch, folder):
  def full(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  with monkeypatch.context() as patch:
    patch.setattr(np, 'savez', full)
    with pytest.raises(
      ValueError,
      match=(
        f'The disk of {folder} is full. Make room there, .*XDG_CACHE_HOME, or '
        'leave --cache out'
      ),
    ):
      open_source('file')
  assert list(folder.iterdir()) == []
  open_source('file')


def test_the_folder_cannot_be_made(open_source, folder):
  folder.parent.mkdir(parents=True, exist_ok=True)
  folder.write_text('in the way')
  with pytest.raises(ValueError, match=f'Writing to {folder} failed'):
    open_source('file')


def test_two_at_once(open_source, fetch, folder):
  """Each writes its own file, and the last one stays."""
  want = fetch(open_source().training(N, 0, 0), 1)
  graph = tf.get_default_graph()

  def build(_):
    with graph.as_default():
      return open_source('file')

  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    sources = list(pool.map(build, range(8)))
  assert len(list(folder.iterdir())) == 2
  for source in (sources[0], sources[-1], open_source('file')):
    same(fetch(source.training(N, 0, 0), 1), want)
