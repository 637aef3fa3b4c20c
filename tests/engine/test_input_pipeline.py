"""Which examples come, in what order, and what is said of bad ones."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets import dataset_factory, dataset_utils
from engine import console, input_pipeline
from preprocessing import preprocessing_factory

N = 23


@pytest.fixture
def source(graph, make_dataset):
  """source(**options): the source of N examples, labelled by their number.

  Augmented by the recipe for CIFAR-10, unless `plain`.
  """
  def build(labels=range(N), num_classes=N, num_threads=4, labels_offset=0,
            plain=False, **options):
    preprocess = preprocessing_factory.get_preprocessing('cifar', not plain)
    return input_pipeline.Source(
        make_dataset(labels, num_classes, **options), preprocess, 8,
        labels_offset, num_threads)
  return build


def _labels(batches):
  return [labels.tolist() for _, labels in batches]


def _joined(batches):
  return np.concatenate([labels for _, labels in batches]).tolist()


def test_types(source):
  batch = source().training(4, 0, 0).batch
  assert batch.images.shape.as_list() == [4, 8, 8, 3]
  assert batch.images.dtype == tf.float32 and batch.labels.dtype == tf.int64
  batch = source().evaluation(4).batch
  assert batch.images.shape.as_list() == [None, 8, 8, 3]


def test_images_go_with_their_labels(graph, make_dataset, fetch):
  """The first pixel of an example is its number, and so is its label."""
  def plain(image, height, width, seed):
    return tf.cast(image.pixels(), tf.float32)
  source = input_pipeline.Source(make_dataset(range(N), N), plain, 8)
  for batches in (source.training(5, 0, 0), source.evaluation(5),
                  source.evaluation(5, shuffle=True)):
    for images, labels in fetch(batches, 4):
      np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


# Training.


@pytest.mark.parametrize('batch_size', [1, 7, N, N + 5])
def test_each_epoch_holds_every_example(source, fetch, batch_size):
  batches = fetch(source().training(batch_size, 0, 0),
                  -(-3 * N // batch_size))
  assert all(len(labels) == batch_size for labels in _labels(batches))
  found = _joined(batches)
  epochs = [found[i * N:(i + 1) * N] for i in range(3)]
  assert [sorted(epoch) for epoch in epochs] == [list(range(N))] * 3
  assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
  assert epochs[0] != list(range(N))


def test_batch_larger_than_the_data(source, fetch):
  batches = fetch(source(range(3), 3).training(8, 0, 0), 3)
  found = _joined(batches)
  assert [sorted(found[i:i + 3]) for i in range(0, 24, 3)] == [[0, 1, 2]] * 8


def test_one_example(source, fetch):
  batches = fetch(source([4]).training(3, 0, 0), 2)
  assert _labels(batches) == [[4, 4, 4]] * 2
  # The same picture, augmented anew each time.
  images = np.concatenate([images for images, _ in batches])
  assert len({image.tobytes() for image in images}) > 3


def test_seed(source, fetch):
  first, again, other = (_joined(fetch(source().training(N, seed, 0), 1))
                         for seed in (1, 1, 2))
  assert first == again != other


@pytest.mark.parametrize('batch_size, start', [(5, 1), (5, 7), (N + 5, 3)])
@pytest.mark.parametrize('threads', [1, 8])
def test_continues_exactly(source, fetch, batch_size, start, threads):
  """Across epochs, with the same bits, whatever the number of threads."""
  whole = fetch(source().training(batch_size, 3, 0), start + 3)
  rest = fetch(source(num_threads=threads).training(
      batch_size, 3, tf.constant(start, tf.int64)), 3)
  for (images, labels), (images_again, labels_again) in zip(
      whole[start:], rest, strict=True):
    np.testing.assert_array_equal(labels, labels_again)
    assert images.tobytes() == images_again.tobytes()


def test_far_away_step(source, fetch):
  """Beyond 2 ** 31 examples."""
  start = 2 ** 31
  batches = fetch(source().training(N, 0, tf.constant(start, tf.int64)), 2)
  assert [sorted(labels) for labels in _labels(batches)] == [
      list(range(N))] * 2


def test_step_of_a_restored_checkpoint(source):
  """The iterator begins when tables are initialized, at the step by then."""
  step = tf.train.get_or_create_global_step()
  batch = source().training(4, 0, step).batch
  first = source().training(4, 0, 0).batch
  with tf.Session() as session:
    session.run(step.initializer)
    session.run(step.assign(2))
    session.run(tf.tables_initializer())
    for _ in range(2):
      session.run(first)
    np.testing.assert_array_equal(*session.run([batch.images, first.images]))


def test_augmentation_differs_by_epoch(source, fetch):
  """The same example is another picture the next time."""
  seen = {}
  for images, labels in fetch(source().training(N, 0, 0), 4):
    for image, label in zip(images, labels, strict=True):
      seen.setdefault(label, set()).add(image.tobytes())
  assert len(seen) == N and all(len(images) > 1 for images in seen.values())


# Evaluation.


@pytest.mark.parametrize('shuffle', [False, True])
@pytest.mark.parametrize('batch_size', [1, 7, N, N + 5])
def test_evaluation_holds_every_example_once(source, fetch, batch_size,
                                             shuffle):
  batches = fetch(source().evaluation(batch_size, shuffle))
  found = _joined(batches)
  assert sorted(found) == list(range(N))
  assert (found == list(range(N))) != shuffle
  sizes = [len(labels) for labels in _labels(batches)]
  assert sizes == [batch_size] * (N // batch_size) + [N % batch_size] * (
      N % batch_size > 0)


def test_evaluation_twice(source, fetch):
  """Without augmentation, and in an order that stays."""
  for shuffle in (False, True):
    first, again = (fetch(source(plain=True).evaluation(N, shuffle))
                    for _ in range(2))
    np.testing.assert_array_equal(first[0][0], again[0][0])
    np.testing.assert_array_equal(first[0][1], again[0][1])


@pytest.mark.parametrize('shards', [1, 3, 30])
def test_files_are_one_sequence(source, fetch, shards):
  """Thirty files, seven of them empty."""
  batches = fetch(source(shards=shards).evaluation(4))
  assert _joined(batches) == list(range(N))


# Mistakes.


def _explained(fetch, batches, count=None):
  with pytest.raises((tf.errors.OpError, ValueError)) as error:
    fetch(batches, count)
  return console.explain(error.value)


def test_no_records(source):
  with pytest.raises(ValueError, match='The train split of noise has no '
                     r'records: .*noise-0.tfrecord, .*noise-1.tfrecord are '
                     'empty'):
    source([])


def test_labels_offset(source, fetch):
  batches = fetch(source([1, 2, 3], 4, labels_offset=1).evaluation(3))
  assert _labels(batches) == [[0, 1, 2]]


@pytest.mark.parametrize('labels, offset, number, label', [
    ([0, 1, 4, 2], 0, 2, 4), ([1, 2, 3, 0], 1, 3, 0), ([-1], 0, 0, -1)])
def test_label_out_of_range(source, fetch, tmp_path, labels, offset, number,
                            label):
  text = _explained(fetch, source(labels, 4, labels_offset=offset, shards=1
                                  ).evaluation(2))
  assert text == (
      f'record {number} of {tmp_path}/noise-0.tfrecord has the label {label}, '
      f'which is not in {offset} to 3 (is --labels_offset={offset} right?): '
      'mend or remove it, or convert the data again. --skip_bad_examples=1 '
      'leaves it out.')


@pytest.fixture
def broken(graph, monkeypatch, tmp_path):
  """broken(*records): a source of records as they are."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))

  def build(*records):
    path = str(tmp_path / 'a.tfrecord')
    with tf.io.TFRecordWriter(path) as writer:
      for record in records:
        writer.write(record)
    return input_pipeline.Source(
        dataset_factory.make_dataset('noise', 'train', [path], 4, None),
        preprocessing_factory.get_preprocessing('cifar', False), 8)
  return build


def _example(image):
  return dataset_utils.image_to_tfexample(image, b'png', 8, 8, 1
                                          ).SerializeToString()


def test_damaged_record(source, fetch, tmp_path):
  whole = source(shards=1)
  path = tmp_path / 'noise-0.tfrecord'
  data = bytearray(path.read_bytes())
  data[-10] ^= 1
  path.write_bytes(data)
  assert _explained(fetch, whole.evaluation(4)) == (
      f'record {N - 1} of {path} is damaged: its checksum does not fit. '
      'Convert or copy the file again. --skip_bad_examples=1 leaves it out.')


RECORDS = {
    'no example': b'this is no example',
    'empty': b'',
    'no label': tf.train.Example(features=tf.train.Features(feature={
        'image/encoded': tf.train.Feature(bytes_list=tf.train.BytesList(
            value=[b'x']))})).SerializeToString(),
    'no picture': _example(b''),
    'text': _example(b'<html>404</html>'),
    'half a picture': None,
}


@pytest.fixture(params=RECORDS)
def complaint(request, broken, fetch, png):
  """What is said of each bad record, behind a good one."""
  good = png(np.zeros((8, 8, 3), np.uint8))
  record = RECORDS[request.param]
  if record is None:
    record = _example(good[:len(good) // 2])
  source = broken(_example(good), record)
  with pytest.raises(ValueError) as error:
    fetch(source.evaluation(1))
  return console.explain(error.value)


def test_bad_record_is_a_line(complaint):
  assert complaint and '\n' not in complaint and len(complaint) < 300
  for word in ('node', 'Detected', 'Traceback', 'File "'):
    assert word not in complaint


def test_bad_record_is_named(complaint, tmp_path):
  assert f'record 1 of {tmp_path}/a.tfrecord' in complaint
