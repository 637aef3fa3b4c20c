"""Which examples come, in what order, and what is said of bad ones."""

import pathlib
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets import dataset_factory, dataset_utils
from datasets.records import tfrecord
from engine.common import console
from engine.config.scripts import TrainConfig
from engine.input import pipeline
from preprocessing import mixing, preprocessing_factory
from tests import builders

N = 23


@pytest.fixture
def source(graph, make_dataset):
  """source(**options): the source of N examples, labelled by their number.

  Augmented by the recipe for CIFAR-10, unless `plain`.
  """

  def build(
    labels=range(N),
    num_classes=N,
    num_threads=4,
    labels_offset=0,
    plain=False,
    **options,
  ):
    preprocess = preprocessing_factory.get_preprocessing('cifar', not plain)
    return builders.source(
      make_dataset(labels, num_classes, **options),
      preprocess,
      8,
      labels_offset,
      num_threads,
    )

  return build


def _labels(batches):
  return [labels.tolist() for _, labels, _ in batches]


def _joined(batches):
  return np.concatenate([labels for _, labels, _ in batches]).tolist()


def _counted(batches):
  """The labels, -1 where another example stands in for a bad one."""
  return [
    label if record >= 0 else -1
    for _, labels, records in batches
    for label, record in zip(labels, records, strict=True)
  ]


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

  source = builders.source(make_dataset(range(N), N), plain, 8)
  for batches in (
    source.training(5, 0, 0),
    source.evaluation(5),
    source.evaluation(5, shuffle=True),
  ):
    for images, labels, _ in fetch(batches, 4):
      np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


# Training.


@pytest.mark.parametrize('batch_size', [1, 7, N, N + 5])
def test_each_epoch_holds_every_example(source, fetch, batch_size):
  batches = fetch(source().training(batch_size, 0, 0), -(-3 * N // batch_size))
  assert all(len(labels) == batch_size for labels in _labels(batches))
  found = _joined(batches)
  epochs = [found[i * N : (i + 1) * N] for i in range(3)]
  assert [sorted(epoch) for epoch in epochs] == [list(range(N))] * 3
  assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
  assert epochs[0] != list(range(N))


def test_batch_larger_than_the_data(source, fetch):
  batches = fetch(source(range(3), 3).training(8, 0, 0), 3)
  found = _joined(batches)
  assert [sorted(found[i : i + 3]) for i in range(0, 24, 3)] == [[0, 1, 2]] * 8


def test_one_example(source, fetch):
  batches = fetch(source([4]).training(3, 0, 0), 2)
  assert _labels(batches) == [[4, 4, 4]] * 2
  # The same image, augmented anew each time.
  images = np.concatenate([images for images, _, _ in batches])
  assert len({image.tobytes() for image in images}) > 3


def test_seed(source, fetch):
  first, again, other = (
    _joined(fetch(source().training(N, seed, 0), 1)) for seed in (1, 1, 2)
  )
  assert first == again != other


@pytest.mark.parametrize('batch_size, start', [(5, 1), (5, 7), (N + 5, 3)])
@pytest.mark.parametrize(
  'threads', [pytest.param(1, marks=pytest.mark.slow), 8]
)
def test_resumes_exactly(source, fetch, batch_size, start, threads):
  """Across epochs, with the same bits, whatever the number of threads."""
  whole = fetch(source().training(batch_size, 3, 0), start + 3)
  rest = fetch(
    source(num_threads=threads).training(
      batch_size, 3, tf.constant(start, tf.int64)
    ),
    3,
  )
  for (images, labels, _), (images_again, labels_again, _) in zip(
    whole[start:], rest, strict=True
  ):
    np.testing.assert_array_equal(labels, labels_again)
    assert images.tobytes() == images_again.tobytes()


def test_far_away_step(source, fetch):
  """Beyond 2 ** 31 examples."""
  start = 2**31
  batches = fetch(source().training(N, 0, tf.constant(start, tf.int64)), 2)
  assert [sorted(labels) for labels in _labels(batches)] == [list(range(N))] * 2


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
  """The same example is another image the next time."""
  seen = {}
  for images, labels, _ in fetch(source().training(N, 0, 0), 4):
    for image, label in zip(images, labels, strict=True):
      seen.setdefault(label, set()).add(image.tobytes())
  assert len(seen) == N and all(len(images) > 1 for images in seen.values())


# Evaluation.


@pytest.mark.parametrize('shuffle', [False, True])
@pytest.mark.parametrize('batch_size', [1, 7, N, N + 5])
def test_evaluation_holds_every_example_once(
  source, fetch, batch_size, shuffle
):
  batches = fetch(source().evaluation(batch_size, shuffle))
  found = _joined(batches)
  assert sorted(found) == list(range(N))
  assert (found == list(range(N))) != shuffle
  sizes = [len(labels) for labels in _labels(batches)]
  assert sizes == [batch_size] * (N // batch_size) + [N % batch_size] * (
    N % batch_size > 0
  )


def test_evaluation_twice(source, fetch):
  """Without augmentation, and in an order that stays."""
  for shuffle in (False, True):
    first, again = (
      fetch(source(plain=True).evaluation(N, shuffle)) for _ in range(2)
    )
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
  with pytest.raises(
    ValueError,
    match='The train split of noise has no '
    r'records: .*noise-0.tfrecord, .*noise-1.tfrecord are '
    'empty',
  ):
    source([])


def test_labels_offset(source, fetch):
  batches = fetch(source([1, 2, 3], 4, labels_offset=1).evaluation(3))
  assert _labels(batches) == [[0, 1, 2]]


@pytest.mark.parametrize(
  'labels, offset, number, label',
  [([0, 1, 4, 2], 0, 2, 4), ([1, 2, 3, 0], 1, 3, 0), ([-1], 0, 0, -1)],
)
def test_label_out_of_range(
  source, fetch, tmp_path, labels, offset, number, label
):
  text = _explained(
    fetch, source(labels, 4, labels_offset=offset, shards=1).evaluation(2)
  )
  assert text == (
    f'record {number} of {tmp_path}/noise-0.tfrecord has the label {label}, '
    f'which is not in {offset} to 3, with --labels_offset={offset}: '
    'repair or remove it, or convert the data again. --skip_bad_examples=1 '
    'leaves it out.'
  )


@pytest.fixture
def broken(graph, monkeypatch, tmp_path):
  """broken(*records): a source of records as they are."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))

  def build(*records):
    path = str(tmp_path / 'a.tfrecord')
    with tf.io.TFRecordWriter(path) as writer:
      for record in records:
        writer.write(record)
    return builders.source(
      dataset_factory.make_dataset('noise', 'train', [path], 4, None),
      preprocessing_factory.get_preprocessing('cifar', False),
      8,
    )

  return build


def _example(image):
  return dataset_utils.image_to_tfexample(
    image, b'png', 8, 8, 1
  ).SerializeToString()


def test_damaged_record(source, fetch, tmp_path):
  whole = source(shards=1)
  path = tmp_path / 'noise-0.tfrecord'
  data = bytearray(path.read_bytes())
  data[-10] ^= 1
  path.write_bytes(data)
  assert _explained(fetch, whole.evaluation(4)) == (
    f'record {N - 1} of {path} is damaged: its checksum does not fit. '
    'Convert or copy the file again. --skip_bad_examples=1 leaves it out.'
  )


RECORDS = {
  'no example': b'this is no example',
  'empty': b'',
  'no label': tf.train.Example(
    features=tf.train.Features(
      feature={
        'image/encoded': tf.train.Feature(
          bytes_list=tf.train.BytesList(value=[b'x'])
        )
      }
    )
  ).SerializeToString(),
  'no image': _example(b''),
  'text': _example(b'<html>404</html>'),
  'half an image': None,
}


@pytest.fixture(params=RECORDS)
def complaint(request, broken, fetch, png):
  """What is said of each bad record, behind a good one."""
  good = png(np.zeros((8, 8, 3), np.uint8))
  record = RECORDS[request.param]
  if record is None:
    record = _example(good[: len(good) // 2])
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


# Bad examples that are left out.


GOOD, BAD = 9, 4  # records, and the number of the bad one
SEED, BATCH = 3, 5


def _jpeg_cut_short(png):
  """Of which the upper windows could be decoded."""
  image = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype('u1')
  with tf.Graph().as_default(), tf.Session() as session:
    return session.run(tf.io.encode_jpeg(image))[:-20]


def _flip(path, at):
  data = bytearray(path.read_bytes())
  data[at] ^= 1
  path.write_bytes(data)


def _noise(png, number, side=8, label=None):
  image = np.random.RandomState(number).randint(0, 256, (side, side, 3))
  return dataset_utils.image_to_tfexample(
    png(image.astype(np.uint8)),
    b'png',
    side,
    side,
    number if label is None else label,
  ).SerializeToString()


MAKERS = {
  'text': lambda png: RECORDS['text'],
  'half an image': lambda png: _noise(png, 4)[:-60],
  'bytes that are no text': lambda png: b'\xff\xfe\x80' * 9,
  'a JPEG cut short': lambda png: _example(_jpeg_cut_short(png)),
  'too many pixels': lambda png: _noise(png, 4, 9),
  'a label too large': lambda png: _noise(png, 4, label=GOOD),
}
KINDS = [*MAKERS, 'a flipped bit', 'a file cut short']


class Trial:
  """A dataset of nine images, as it is repaired and as it is damaged.

  Attributes:
    repaired: the data, with the next record in the place of the bad one.
    damaged: the data, with the bad one.
    named: what it is called.
  """

  def __init__(self, folder, png, kind, bad=(BAD,)):
    self.kind = kind
    good = [_noise(png, number) for number in range(GOOD)]
    repaired, damaged = list(good), list(good)
    self.lost = kind == 'a file cut short'
    for number in bad:
      if kind in MAKERS:
        damaged[number] = MAKERS[kind](png)
      repaired[number] = good[(number + 1) % GOOD]
    first = [number for number in bad if number < BAD + 1][0]
    if self.lost:
      del repaired[BAD]
    self.repaired = self._write(folder / 'repaired.tfrecord', repaired)
    path = folder / 'damaged-0.tfrecord'
    self.damaged = self._write(path, damaged[: BAD + 1])
    self.damaged += self._write(
      folder / 'damaged-1.tfrecord', damaged[BAD + 1 :]
    )
    if kind == 'a flipped bit':
      offset, length = tfrecord.find_records(str(path)).records[first]
      _flip(path, offset + length // 2)
    elif self.lost:
      path.write_bytes(path.read_bytes()[:-7])
    self.named = f'record {first} ' + (
      f'ends at byte {path.stat().st_size + 7}' if self.lost else f'of {path}'
    )

  def _write(self, path, records):
    tfrecord.write(path, records)
    return [str(path)]

  def open(self, paths, plain=False, **options):
    """Opens files; a JPEG with a recipe that takes windows of it."""
    jpeg = 'JPEG' in self.kind
    preprocess = preprocessing_factory.get_preprocessing(
      'vgg' if jpeg else 'cifar', not plain
    )
    return builders.source(
      dataset_factory.make_dataset('noise', 'train', paths, GOOD, None),
      preprocess,
      8,
      max_pixels=4096 if jpeg else 64,
      **options,
    )


def _same(got, want):
  for one, other in zip(got, want, strict=True):
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.images.tobytes() == other.images.tobytes()


@pytest.fixture
def trial(graph, monkeypatch, tmp_path, png):
  """trial(kind, **options): see `Trial`."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  return lambda *arguments, **options: Trial(
    tmp_path, png, *arguments, **options
  )


@pytest.fixture(scope='module')
def repaired():
  """The batches of repaired data, by the bytes of the data."""
  return {}


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
def test_training_resumes_as_if_the_record_were_repaired(
  trial, fetch, kind, capsys, repaired
):
  """With the same bits, from the start and from anywhere, in any threads."""
  trial = trial(kind)
  key = pathlib.Path(*trial.repaired).read_bytes(), 'JPEG' in kind
  if key not in repaired:
    source = trial.open(trial.repaired)
    repaired[key] = fetch(source.training(BATCH, SEED, 0), 6)
  want = repaired[key]
  assert capsys.readouterr().out == ''
  for start, threads in (0, 8), (2, 1):
    source = trial.open(trial.damaged, num_threads=threads, skip=1)
    stream = source.training(BATCH, SEED, tf.constant(start, tf.int64))
    stream.position = start
    _same(fetch(stream, 6 - start), want[start:])
    assert stream.position == 6
    (sentence,) = source.left_out
    assert trial.named in sentence
    # The cure's number is for those who did not pass the flag.
    assert '--skip_bad_examples' not in sentence
    assert capsys.readouterr().out == f'note: left out: {sentence}\n'


@pytest.mark.slow
@pytest.mark.parametrize(
  'kind',
  ['half an image', 'a label too large', 'a flipped bit', 'a file cut short'],
)
def test_evaluation_without_the_record(trial, fetch, kind):
  trial = trial(kind)
  source = trial.open(trial.damaged, plain=True, skip=1)
  want = fetch(trial.open(trial.repaired, plain=True).evaluation(BATCH))
  for shuffle in (False, True):
    got = fetch(source.evaluation(BATCH, shuffle))
    labels = _counted(got)
    assert len(labels) == source.num_examples == GOOD - trial.lost
    assert sorted(label for label in labels if label >= 0) == [
      label for label in range(GOOD) if label != BAD
    ]
    assert labels.count(-1) == (0 if trial.lost else 1)
    if not shuffle:
      assert trial.lost or labels[BAD] == -1
      # What stands there is an image, for the statistics of a batch.
      for one, other in zip(got, want, strict=True):
        assert one.images.tobytes() == other.images.tobytes()
  assert len(source.left_out) == 1


@pytest.mark.parametrize(
  'kind',
  [
    'bytes that are no text',
    'a JPEG cut short',
    'a flipped bit',
    'a file cut short',
  ],
)
def test_one_bad_record_too_many(trial, fetch, kind):
  trial = trial(kind)
  with pytest.raises((tf.errors.OpError, ValueError)) as error:
    fetch(trial.open(trial.damaged).training(BATCH, SEED, 0), 3)
  text = console.explain(error.value)
  assert trial.named in text and '\n' not in text
  assert text.endswith(' --skip_bad_examples=1 leaves it out.')


@pytest.mark.slow
def test_the_flag_names_its_next_value(trial, fetch):
  trial = trial('half an image', (1, BAD, 7))
  for skip in (0, 1, 2):
    source = trial.open(trial.damaged, plain=True, skip=skip)
    text = _explained(fetch, source.training(BATCH, SEED, 0), 6)
    what = 'it' if skip == 0 else f'{skip + 1} such'
    assert text.endswith(f'--skip_bad_examples={skip + 1} leaves {what} out.')
    assert 'damaged-' in text
  source = trial.open(trial.damaged, skip=3)
  want = fetch(trial.open(trial.repaired).training(BATCH, SEED, 0), 6)
  _same(fetch(source.training(BATCH, SEED, 0), 6), want)
  assert len(source.left_out) == 3


@pytest.mark.parametrize('training', [True, False])
def test_records_tell_the_numbers(make_dataset, training):
  """Noise image n has n as its first pixel."""
  with tf.Graph().as_default(), tf.Session() as session:
    source = builders.source(
      make_dataset([i % 10 for i in range(12)]),
      lambda image, height, width, seed: tf.cast(
        image.pixels()[0, 0], tf.float32
      ),
      8,
    )
    stream = source.training(5, 0, 3) if training else source.evaluation(5)
    session.run(stream.initializer)
    batch = stream.run(session, stream.batch)
  assert batch.records.tolist() == batch.images[:, 0].tolist()
  assert len(set(batch.records)) == 5


def test_neighbours_and_the_last_record(trial, fetch):
  """The stand-in of the last record is the first good one."""
  trial = trial('text', (0, 7, 8))
  source = trial.open(trial.damaged, plain=True, skip=3)
  labels = _joined(fetch(source.training(GOOD, SEED, 0), 4)[1:])
  counts = np.bincount(labels, minlength=GOOD).tolist()
  assert counts == [0, 12, 3, 3, 3, 3, 3, 0, 0]


def test_no_record_is_good(trial, fetch):
  trial = trial('text', range(GOOD))
  source = trial.open(trial.damaged, plain=True, skip=99)
  assert 'No record is good' in _explained(
    fetch, source.training(BATCH, SEED, 0), 6
  )


@pytest.mark.slow
def test_far_behind_what_is_read_ahead(graph, make_dataset):
  """Many threads, small batches, slow steps: much is read meanwhile."""
  labels = list(range(200))
  labels[60] = 999
  stream = builders.source(
    make_dataset(labels, 200),
    preprocessing_factory.get_preprocessing('cifar', False),
    8,
    num_threads=96,
    skip=1,
  ).evaluation(1)
  found = []
  with tf.Session() as session:
    session.run(stream.initializer)
    for number in range(70):
      if number == 50:
        time.sleep(0.3)
      found += stream.run(session, stream.batch.records).tolist()
  assert found == [*range(60), -1, *range(61, 70)]


def test_a_start_that_is_a_number(trial, fetch):
  trial = trial('text')
  want = fetch(trial.open(trial.repaired).training(BATCH, SEED, 0), 9)
  stream = trial.open(trial.damaged, skip=1).training(BATCH, SEED, 7)
  assert stream.position == 7
  _same(fetch(stream, 2), want[7:])
  assert stream.position == 9


def test_another_failure_is_not_a_bad_record(trial):
  """Nothing is left out, and nothing repeated for ever."""
  trial = trial('text')
  stream = trial.open(trial.repaired, skip=9).training(BATCH, SEED, 0)
  fails = tf.debugging.Assert(tf.reduce_any(stream.batch.labels < 0), ['no'])
  with tf.Session() as session:
    session.run(stream.initializer)
    with pytest.raises(tf.errors.InvalidArgumentError, match='no'):
      stream.run(session, fails)


class Count(tf.train.SessionRunHook):
  """Takes a value along with each step, as the hooks of a training do."""

  def __init__(self, fetch):
    self._fetch, self.found = fetch, []

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._fetch)

  def after_run(self, run_context, run_values):
    self.found.append(run_values.results.tolist())


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['half an image', 'bytes that are no text'])
def test_in_a_monitored_session(trial, kind):
  """No step is lost and none is done twice."""
  trial = trial(kind)

  def weights(source):
    with tf.Graph().as_default():
      step = tf.train.get_or_create_global_step()
      stream = source().training(BATCH, SEED, step)
      weight = tf.get_variable(
        'weight',
        [8, 8, 3],
        use_resource=True,
        initializer=tf.zeros_initializer(),
      )
      mean = tf.reduce_mean(stream.batch.images, 0)
      with tf.control_dependencies([weight.assign(0.5 * weight + mean)]):
        train = step.assign_add(1)
      with tf.control_dependencies([train]):
        done = tf.identity(step.read_value())
      hook = Count(done)
      labels = Count(stream.batch.labels)
      with tf.train.MonitoredSession(hooks=[hook, labels]) as session:
        for _ in range(7):
          stream.run(session, train)
        final = session.run_step_fn(
          lambda step_context: step_context.session.run(weight)
        )
      assert hook.found == list(range(1, 8)) and stream.position == 7
      return final, labels.found

  want, labels = weights(lambda: trial.open(trial.repaired))
  got, labels_again = weights(lambda: trial.open(trial.damaged, skip=1))
  assert labels == labels_again
  np.testing.assert_array_equal(got, want)


# Mixed examples.


def _mix(images, labels, seed):
  return mixing.mix(images, labels, seed, 0.4, 1.0)


@pytest.mark.slow
def test_mixed_batches(trial, fetch):
  """A function of the seed and the step, also behind a bad record."""
  trial = trial('half an image')
  source = trial.open(trial.repaired)
  want = fetch(source.training(BATCH, SEED, 0, _mix), 6)
  for images, labels, _ in want:
    assert images.shape == (BATCH, 8, 8, 3) and images.dtype == np.float32
    assert labels.shape == (BATCH, GOOD) and labels.dtype == np.float32
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
    assert labels.min() >= 0
  assert any(0 < labels.max(1).min() < 0.99 for _, labels, _ in want)
  # The same examples as without, each mixed with its neighbour.
  plain = fetch(source.training(BATCH, SEED, 0), 6)
  for (_, labels, _), (_, numbers, _) in zip(want, plain, strict=True):
    one = np.eye(GOOD)[numbers]
    share = np.roll(one, -1, 0) - one
    kept = 1 - ((labels - one) * share).sum() / (share**2).sum()
    np.testing.assert_allclose(labels, one + (1 - kept) * share, atol=1e-5)
  for start in (0, 4):
    again = trial.open(trial.damaged, skip=1, num_threads=1).training(
      BATCH, SEED, start, _mix
    )
    _same(fetch(again, 6 - start), want[start:])
  other = fetch(source.training(BATCH, SEED + 1, 0, _mix), 1)
  assert not np.array_equal(other[0].labels, want[0].labels)


def test_mixed_labels_after_the_offset(source, fetch):
  stream = source([1, 2, 3], 4, labels_offset=1).training(6, 0, 0, _mix)
  (batch,) = fetch(stream, 1)
  assert batch.labels.shape == (6, 3)
  assert stream.batch.labels.shape.as_list() == [6, 3]
  assert stream.batch.images.shape.as_list() == [6, 8, 8, 3]
  np.testing.assert_allclose(batch.labels.sum(0), 2, atol=1e-5)


@pytest.mark.parametrize('batch_size', [5, N + 5])
def test_seek(source, fetch, batch_size):
  """Forth and back, to the same bits; `position` says where it stands."""
  want = fetch(source().training(batch_size, 3, 0), 9)
  stream = source().training(batch_size, 3, 0)
  with tf.Session() as session:
    session.run(stream.initializer)
    for position in (4, 0, 8, 8):
      stream.seek(session, position)
      assert stream.position == position
      got = stream.run(session, stream.batch)
      assert stream.position == position + 1
      for one, other in zip(got, want[position], strict=True):
        assert one.tobytes() == other.tobytes()
    stream.seek(session, 2)
    stream.run(session, stream.batch)
    stream.seek(session)  # where it stands
    assert stream.position == 3
    got = stream.run(session, stream.batch)
    assert got.images.tobytes() == want[3].images.tobytes()


def test_seek_in_a_monitored_session(source, fetch):
  """Its hooks are not called, and none of them takes a batch."""
  want = fetch(source().training(5, 3, 0), 8)
  stream = source().training(5, 3, 0)
  tf.train.get_or_create_global_step()
  calls = []

  class Count(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
      calls.append(1)

  with tf.train.MonitoredSession(hooks=[Count()]) as session:
    for position in (6, 1):
      stream.seek(session, position)
      got = stream.run(session, stream.batch)
      assert got.images.tobytes() == want[position].images.tobytes()
  assert len(calls) == 2


def test_a_batch_has_its_number(source):
  """Wherever the stream stands; in a graph that does not ask, there is none."""
  first = source().training(4, 0, 0)
  asked = first.number
  before = len(asked.graph.get_operations())
  second = source().training(4, 0, 0)
  names = [each.name for each in asked.graph.get_operations()[before:]]
  assert not any('number_of_batch' in name for name in names)
  with tf.Session() as session:
    session.run(tf.tables_initializer())
    found = [first.run(session, asked) for _ in range(3)]
    first.seek(session, 7)
    found += [first.run(session, asked), first.run(session, asked)]
    records = second.run(session, second.batch.records)
  assert found == [0, 1, 2, 7, 8] and len(records) == 4


# Shares of replicas and workers.


def woven(shares):
  """The batches of all replicas: example n is of replica n mod R."""
  return [
    [
      np.stack(each, 1).reshape(-1, *each[0].shape[1:])
      for each in zip(*batches, strict=True)
    ]
    for batches in zip(*shares, strict=True)
  ]


def same(got, want):
  for batch, wanted in zip(got, want, strict=True):
    for each, value in zip(batch, wanted, strict=True):
      np.testing.assert_array_equal(each, value)


@pytest.mark.parametrize('replicas, start', [(2, 0), (3, 0), (3, 5)])
def test_replicas_share_the_batches(source, fetch, replicas, start):
  """Images, labels and records; 6 does not divide N: batches span epochs."""
  examples = source()
  want = fetch(examples.training(6, 3, start), 6)
  assert 6 * (start + 6) > N
  shares = [
    fetch(examples.training(6 // replicas, 3, start, None, i, replicas), 6)
    for i in range(replicas)
  ]
  same(woven(shares), want)


@pytest.mark.parametrize('start', [0, 3])
def test_replicas_share_micro_batches(source, fetch, start):
  """Part p of step s has the same examples, whoever takes them."""
  examples = source()
  flags = {'batch_size': 12, 'num_micro_batches': 3, 'seed': 2}
  want = fetch(
    pipeline.training_stream(TrainConfig(**flags), examples, start), 7
  )
  config = TrainConfig(**{**flags, 'batch_size': 6}, global_batch_size=12)
  shares = [
    fetch(pipeline.training_stream(config, examples, start, i, 2), 7)
    for i in range(2)
  ]
  assert [len(labels) for labels in _labels(shares[0])] == [2] * 7
  same(woven(shares), want)


def test_replicas_mix_their_own_examples(source, fetch):
  """The weights of one are not those of another, nor those of its next."""
  config = TrainConfig(batch_size=2, global_batch_size=4, mixup_alpha=1.0)
  examples = source()
  plain = TrainConfig(batch_size=2, global_batch_size=4)
  found = []
  for i in range(2):
    mixed, own = (
      fetch(pipeline.training_stream(each, examples, 0, i, 2), 3)
      for each in (config, plain)
    )
    for (_, labels, records), (_, wanted, others) in zip(
      mixed, own, strict=True
    ):
      assert records.tolist() == others.tolist()
      np.testing.assert_allclose(labels.sum(-1), 1, rtol=1e-6)
      assert set(np.argwhere(labels)[:, 1]) <= set(wanted)
      found.append(labels.max())
  assert len(set(found)) == 6


@pytest.mark.parametrize('shuffle', [False, True])
@pytest.mark.parametrize('workers, batch_size', [(2, 4), (3, 4), (5, 30)])
def test_shares_hold_each_example_once(
  source, fetch, shuffle, workers, batch_size
):
  examples = source()
  (whole,) = fetch(examples.evaluation(N, shuffle))
  parts = []
  for i in range(workers):
    batches = fetch(
      examples.evaluation(batch_size, shuffle, range(i, N, workers))
    )
    records = np.concatenate([batch[2] for batch in batches])
    assert records.tolist() == whole[2][i::workers].tolist()
    parts += records.tolist()
  assert sorted(parts) == list(range(N))


def test_more_workers_than_examples(source, fetch):
  examples = source(range(2), 2)
  found = [
    _labels(fetch(examples.evaluation(4, share=range(i, 2, 3))))
    for i in range(3)
  ]
  assert found == [[[0]], [[1]], []]


@pytest.mark.parametrize('batch', [0, 2])
def test_a_share_from_a_later_batch(source, batch):
  stream = source().evaluation(3, share=range(1, N, 2))
  with tf.Session() as session:
    stream.seek(session, batch)
    labels = stream.run(session, stream.batch)[1]
  assert labels.tolist() == list(range(1, N, 2))[3 * batch : 3 * batch + 3]


def test_clones_take_their_batches_in_step(source):
  """One run takes one of each; a seek sets all."""
  examples = source()
  streams = [examples.training(2, 0, 0, None, i, 2) for i in range(2)]
  streams[0].add(streams[1])
  fetches = [batch.labels for batch in streams[0].batches]
  with tf.Session() as session:
    streams[0].seek(session, 0)
    first = [streams[0].run(session, fetches) for _ in range(4)]
    assert streams[0].position == 4
    streams[0].seek(session, 1)
    again = [streams[0].run(session, fetches) for _ in range(3)]
  np.testing.assert_array_equal(again, first[1:])
  assert len(np.unique(first)) == 16
