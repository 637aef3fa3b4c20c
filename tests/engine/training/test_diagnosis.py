"""Where NaN or infinity began, and the images that were in the batch."""

import json
import pathlib
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.config.scripts import TrainConfig
from engine.config.tasks import get_task
from engine.replicas.replicas import Replicas
from engine.training import diagnosis
from engine.training import step as train_step
from tests import builders

N, BATCH = 10, 4
UNIT = 'tiny/block1/unit_1/bottleneck_v1'


def records_of(position, examples=N, batch=BATCH, seed=0):
  """The records of a batch: an epoch is a shuffle by seed and epoch."""
  found = []
  with tf.Graph().as_default(), tf.Session() as session:
    for number in range(position * batch, (position + 1) * batch):
      epoch, index = divmod(number, examples)
      found.append(
        int(
          session.run(
            tf.raw_ops.RandomIndexShuffle(
              index=np.int64(index),
              seed=np.int64([seed, epoch, 0]),
              max_index=np.int64(examples - 1),
              rounds=4,
            )
          )
        )
      )
  return found


@pytest.fixture
def training(graph, tiny, make_dataset, tmp_path):
  """training(spoil, parts): a network in training on noise of N classes."""

  def gray(image, height, width, seed):
    return tf.ensure_shape(
      tf.cast(
        tf.image.resize(
          tf.io.decode_png(image.data) if hasattr(image, 'data') else image,
          [height, width],
        ),
        tf.float32,
      )
      / 255,
      [height, width, 3],
    )

  def build(spoil=lambda image: image, parts=1):
    dataset = make_dataset(range(N), N)
    source = builders.source(
      dataset, lambda *args, seed: spoil(gray(*args, seed)), 16
    )
    stream = source.training(BATCH // parts, 0, 0)
    logits, end_points = tiny(stream.batch.images, N, is_training=True)
    step = tf.train.get_or_create_global_step()
    built = train_step.build(
      get_task('classification'),
      TrainConfig(
        task='classification', learning_rate=0.01, num_micro_batches=parts
      ),
      Replicas(),
      [
        train_step.Tower(
          stream.batch.images, logits, end_points, stream.batch.labels
        )
      ],
      tf.constant(0.0),
      tf.constant(0.01),
      step,
    )
    found = diagnosis.Diagnosis(
      source, stream, parts, [end_points], str(tmp_path)
    )
    session = tf.Session()
    session.run([tf.global_variables_initializer(), tf.tables_initializer()])
    session.run(tf.local_variables_initializer())

    def take_step():
      with found.explaining(session):
        for op in [built.accumulate] * (parts - 1) + [built.apply]:
          stream.run(session, op)

    return types.SimpleNamespace(
      session=session,
      stream=stream,
      end_points=end_points,
      step=take_step,
      number=lambda: int(session.run(step)),
    )

  return build


def variable(name):
  return next(v for v in tf.global_variables() if v.op.name == name)


def failure(training):
  with pytest.raises(ValueError) as error:
    training.step()
  return str(error.value)


def written(folder):
  return json.loads(pathlib.Path(folder, 'non_finite.json').read_text())


def check_records(found, position, tmp_path):
  """Each example of the batch is named by its file and its place in it."""
  half = N // 2
  assert [each['record'] for each in found['pictures']] == [
    f'record {number % half} of {tmp_path}/noise-{number // half}.tfrecord'
    for number in records_of(position)
  ]


def test_an_innocent_step(training, tmp_path):
  trained = training()
  trained.step()
  assert trained.number() == 1 and trained.stream.position == 1
  assert not (tmp_path / 'non_finite.json').exists()


def test_weights_that_are_none(training, tmp_path):
  """The batch before has spoilt them."""
  trained = training()
  trained.step()
  trained.step()
  for name in (f'{UNIT}/conv2/weights', f'{UNIT}/conv3/weights'):
    spoilt = variable(name)
    spoilt.load(np.full(spoilt.shape, np.nan), trained.session)
  text = failure(trained)
  assert text == (
    f'The loss is not finite: the step before made {UNIT}/conv2/weights not '
    f'finite, the first of 2 such variables. {tmp_path}/non_finite.json '
    'names the 4 images of the batch that caused it. Training again '
    'resumes from the start: lower --learning_rate, with '
    '--accept_changes, or check the images.'
  )
  found = written(tmp_path)
  assert (found['step'], found['what']) == (2, 'variable')
  assert found['first'] == f'{UNIT}/conv2/weights'
  assert found['not_finite'] == [
    f'{UNIT}/conv2/weights',
    f'{UNIT}/conv3/weights',
  ]
  check_records(found, 1, tmp_path)


def test_all_parts_of_the_batch_are_named(training, tmp_path):
  """What spoilt the weights is a batch in two parts."""
  trained = training(parts=2)
  trained.step()
  trained.step()
  spoilt = variable(f'{UNIT}/conv2/weights')
  spoilt.load(np.full(spoilt.shape, np.nan), trained.session)
  assert 'the 4 images of the batch' in failure(trained)
  check_records(written(tmp_path), 1, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('layer', ['conv1', 'conv3'])
def test_a_layer_that_overflows(training, tmp_path, layer):
  trained = training()
  trained.step()
  huge = variable(f'{UNIT}/{layer}/weights')
  huge.load(np.full(huge.shape, 3e38), trained.session)
  text = failure(trained)
  assert (
    f'the first NaN or infinity is in the output of {UNIT}/{layer}. '
  ) in text
  found = written(tmp_path)
  names = list(trained.end_points)
  after = names[names.index(f'{UNIT}/{layer}') :]
  assert (found['step'], found['what']) == (2, 'output')
  assert found['first'] == f'{UNIT}/{layer}'
  assert set(found['not_finite']) <= set(after)
  check_records(found, 1, tmp_path)
  assert trained.number() == 1


@pytest.mark.slow
def test_images_that_are_none(training, tmp_path):
  """One of the data, in the third batch, whose first pixel is its number."""
  bad = next(
    number
    for number in records_of(2)
    if number not in records_of(0) + records_of(1)
  )

  def spoil(image):
    is_bad = tf.equal(tf.round(image[0, 0, 0] * 255), bad)
    return tf.where(is_bad, image * np.nan, image)

  trained = training(spoil)
  trained.step()
  trained.step()
  text = failure(trained)
  assert text.startswith(
    'The loss is not finite: the first NaN or infinity '
    'is in the output of the images. '
  )
  found = written(tmp_path)
  assert (found['step'], found['what'], found['first']) == (
    3,
    'output',
    'the images',
  )
  check_records(found, 2, tmp_path)
  assert trained.number() == 2


def test_a_loss_too_large(training, tmp_path):
  """Outputs that are finite, whose loss is not."""
  trained = training()
  bias = variable('tiny/logits/biases')
  bias.load(np.where(np.arange(N) == 0, 3e38, -3e38), trained.session)
  text = failure(trained)
  assert (
    'the outputs of all layers are finite, but too large for the loss or its '
    'gradients. ' in text
  )
  found = written(tmp_path)
  assert (found['step'], found['first'], found['not_finite']) == (1, 'loss', [])


@pytest.mark.slow
def test_another_failure_is_left_as_it_is(training, tmp_path):
  trained = training(
    lambda image: tf.ensure_shape(
      tf.debugging.check_numerics(image * np.inf, 'of another kind'),
      image.shape,
    )
  )
  with pytest.raises(tf.errors.InvalidArgumentError, match='another kind'):
    trained.step()
  assert not (tmp_path / 'non_finite.json').exists()


@pytest.fixture(scope='module')
def wild(tmp_path_factory, cache_home, colours):
  """Three good steps, then a learning rate that is far too high."""
  folder = tmp_path_factory.mktemp('wild') / 'run'
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('XDG_CACHE_HOME', str(cache_home))
    patch.setattr('engine.train._evaluate', lambda config: None)
    builders.register_tiny_networks(patch.setitem)
    flags = {
      **builders.fast(colours),
      'train_dir': str(folder),
      'max_number_of_steps': 3,
      'recalibrate_batch_norm_batches': 0,
      'learning_rate_decay_type': 'fixed',
    }
    good = builders.train(**flags)
    assert good.status == 0, good.err
    values = builders.tensors(str(folder))
    flags = {**flags, 'max_number_of_steps': 9, 'learning_rate': 1e30}
    printed = builders.train(**flags, accept_changes=True)
  return types.SimpleNamespace(folder=folder, values=values, printed=printed)


def test_a_wild_learning_rate(wild):
  """One line; the last checkpoint stays."""
  builders.refused(
    wild.printed,
    'not finite',
    f'{wild.folder}/non_finite.json',
    'the 8 images',
    f'resumes from {wild.folder}/model.ckpt-3: lower --learning_rate',
  )
  after = builders.tensors(str(wild.folder))
  assert int(after['global_step']) == 3
  for name, value in wild.values.items():
    assert after[name].tobytes() == value.tobytes(), name


def test_the_batch_of_a_wild_learning_rate(wild, colours):
  """The fourth or a later one, where the order of the data has it."""
  found = written(wild.folder)
  steps = [
    float(line.split(',')[0])
    for line in (wild.folder / 'metrics.csv').read_text().splitlines()[1:]
  ]
  # What failed is the step after the last line, or the one before did it.
  batch = found['step'] - 1
  assert batch == (steps[-1] if found['what'] == 'output' else steps[-1] - 1)
  assert batch >= 3
  assert [each['record'] for each in found['pictures']] == [
    f'record {number % 40} of {colours}/flowers_train_0000{number // 40}'
    '-of-00002.tfrecord'
    for number in records_of(batch, examples=80, batch=8)
  ]
