"""What a new run takes over from a checkpoint, and what is said of it."""

import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints import contents, warm_start
from engine.config.scripts import TrainConfig
from nets.slim_compat import slim
from tests import builders

SHAPES = {
  'net/conv1/weights': [4, 5],
  'net/conv1/biases': [5],
  'net/conv1/moving_mean': [5],
  'net/logits/weights': [5, 3],
  'net/logits/biases': [3],
}
CONV = [name for name in SHAPES if 'conv1' in name]
LOGITS = [name for name in SHAPES if 'logits' in name]


def build(more=False):
  """Makes the variables of a network of two layers, filled by -1."""
  shapes = {**SHAPES, **({'net/conv2/weights': [2]} if more else {})}
  for name, shape in shapes.items():
    slim.model_variable(
      name,
      shape,
      trainable='moving' not in name,
      initializer=tf.constant_initializer(-1.0),
    )


@pytest.fixture
def save(tmp_path):
  """save(classes=3, less=(), slots=False, **extra): a checkpoint's path.

  Its weights are all 1, their moving averages, if any, all 2.
  """

  def save(
    classes=3, less=(), shadows=(), slots=False, extra=(), dtype=np.float32
  ):
    values = {}
    for name, shape in SHAPES.items():
      if 'logits' in name:
        shape = [*shape[:-1], classes]
      if name not in less:
        values[name] = np.ones(shape, dtype)
      if name in shadows:
        values[name + contents.SHADOW] = np.full(shape, 2, dtype)
      if slots and 'moving' not in name:
        values[f'{name}/Momentum'] = np.full(shape, 3, dtype)
    if slots:
      values['global_step'] = np.int64(7)
    values.update((name, np.ones(2, dtype)) for name in extra)
    builders.write_checkpoint(str(tmp_path / 'a.ckpt'), values)
    return str(tmp_path / 'a.ckpt')

  return save


def prepare(path, **flags):
  return warm_start.prepare(TrainConfig(checkpoint_path=path, **flags))


def restored(start):
  """The values of all variables after a start, {name: value}."""
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    start.restore(session)
    return {
      v.op.name: float(np.unique(session.run(v)).item())
      for v in tf.global_variables()
    }


def test_everything(save, graph, tmp_path):
  path = save(slots=True)
  build()
  step = tf.train.get_or_create_global_step()
  start = prepare(path)
  assert start.lines == [
    f'5 variables restored from {path}, 0 left out, 0 missing, 0 '
    'unexpected; not needed: 4 of the optimizer, global_step.'
  ]
  assert restored(start) == {**dict.fromkeys(SHAPES, 1), step.op.name: 0}
  start.write(str(tmp_path))
  assert json.loads((tmp_path / 'warm_start.json').read_text()) == {
    'checkpoint': path,
    'restored': [
      {'name': name, 'shape': shape, 'from': name}
      for name, shape in SHAPES.items()
    ],
    'skipped': [],
    'missing': [],
    'unexpected': [],
    'not_needed': {
      'optimizer': 4,
      'moving_averages': 0,
      'counters': ['global_step'],
      'auxiliary': 0,
    },
  }


def test_other_classes_are_left_out(save, graph, tmp_path):
  path = save(classes=1001)
  build()
  start = prepare(path)
  assert start.lines == [
    f'3 variables restored from {path}, 2 left out, 0 missing, 0 unexpected.',
    'Left out (the checkpoint has 1001 classes, the network 3): '
    'net/logits/weights [5, 3], net/logits/biases [3].',
  ]
  assert restored(start) == {
    **dict.fromkeys(CONV, 1),
    **dict.fromkeys(LOGITS, -1),
  }
  start.write(str(tmp_path))
  written = json.loads((tmp_path / 'warm_start.json').read_text())
  assert written['skipped'][1] == {
    'name': 'net/logits/biases',
    'shape': [3],
    'reason': 'the checkpoint has 1001 classes, the network 3',
  }


@pytest.mark.parametrize(
  'there, here, offset, cure', [(1000, 1001, 0, 1), (1001, 1000, 1, 0)]
)
def test_the_background_class(save, graph, there, here, offset, cure):
  path = save(classes=there)
  slim.model_variable('net/conv1/biases', [5])
  slim.model_variable('net/logits/weights', [5, here])
  start = prepare(path, labels_offset=offset)
  assert start.skipped == {
    'net/logits/weights': f'the checkpoint has {there} classes, the network '
    f'{here}; with --labels_offset={cure} they would fit'
  }


def test_excluded_scopes(save, graph):
  path = save(extra=['aspp/weights'])
  build()
  start = prepare(path, checkpoint_exclude_scopes='net/logits')
  assert start.lines == [
    f'3 variables restored from {path}, 2 left out, 0 missing, 1 unexpected.',
    'Left out (--checkpoint_exclude_scopes): net/logits/weights [5, 3], '
    'net/logits/biases [3].',
    'Unexpected in the checkpoint, and not taken: aspp/weights [2].',
  ]
  assert restored(start)['net/logits/biases'] == -1
  with pytest.raises(
    ValueError,
    match='--checkpoint_exclude_scopes: no '
    "variable is under the scope 'net/logit'. The nearest "
    'are: net/logits,',
  ):
    prepare(path, checkpoint_exclude_scopes='net/logit')
  with pytest.raises(
    ValueError,
    match='--checkpoint_exclude_scopes=net leaves '
    'nothing to restore: leave --checkpoint_path out',
  ):
    prepare(path, checkpoint_exclude_scopes='net')


def test_many_names_are_in_the_file(save, graph, tmp_path):
  path = save(extra=[f'other/v{i}' for i in range(9)])
  build()
  start = prepare(path)
  assert start.lines[-1].endswith(
    'other/v5 [2] and 3 more, see warm_start.json.'
  )
  start.write(str(tmp_path))
  written = json.loads((tmp_path / 'warm_start.json').read_text())
  assert written['unexpected'] == [
    {'name': f'other/v{i}', 'shape': [2]} for i in range(9)
  ]


def test_missing(save, graph):
  path = save()
  build(more=True)
  with pytest.raises(ValueError) as error:
    prepare(path)
  assert str(error.value) == (
    f'The checkpoint {path} lacks 1 of the 6 variables to restore, '
    'net/conv2/weights; it holds net/conv1/biases, net/conv1/moving_mean, '
    'net/conv1/weights and 2 more. To train them afresh, pass '
    '--checkpoint_exclude_scopes=net/conv2 or --ignore_missing_vars.'
  )
  start = prepare(path, ignore_missing_vars=True)
  assert start.lines == [
    f'5 variables restored from {path}, 0 left out, 1 missing, 0 unexpected.',
    'Missing in the checkpoint, and trained afresh: net/conv2/weights [2].',
  ]
  assert restored(start)['net/conv2/weights'] == -1
  assert prepare(path, checkpoint_exclude_scopes='net/conv2').missing == []


@pytest.mark.parametrize('ignore', [False, True])
def test_another_network(save, graph, ignore):
  """To ignore all that is missing would be to restore nothing."""
  path = save()
  with tf.variable_scope('other'):
    build()
  with pytest.raises(
    ValueError,
    match=r'lacks 5 of the 5 variables .*other/'
    'net/conv1/weights, .* and 2 more; it holds .*Is it of '
    'another network.*--ignore_missing_vars',
  ):
    prepare(path, ignore_missing_vars=ignore)


def test_nothing_but_other_classes(save, graph):
  path = save(classes=7, less=CONV)
  slim.model_variable('net/logits/weights', [5, 3])
  with pytest.raises(
    ValueError,
    match='Nothing of the checkpoint .* is left '
    'to restore: leave --checkpoint_path out',
  ):
    prepare(path)


def test_other_shapes(save, graph):
  """As many values are not the same shape; other inputs no other classes."""
  path = save(classes=4)
  slim.model_variable('net/conv1/biases', [5])
  slim.model_variable('net/logits/weights', [4, 5])
  with pytest.raises(ValueError) as error:
    prepare(path)
  assert str(error.value) == (
    'net/logits/weights is [4, 5] in the network and [5, 4] in the '
    f'checkpoint {path}: is it of another network? To train it afresh pass '
    '--checkpoint_exclude_scopes=net/logits.'
  )


def test_other_types(save, graph):
  path = save(dtype=np.float64)
  build()
  with pytest.raises(
    ValueError,
    match='net/conv1/weights is float64 in the '
    'checkpoint .* and float32 in the network: save it again '
    'as float32',
  ):
    prepare(path)


# Moving averages.


def test_weights_go_before_their_moving_averages(save, graph):
  path = save(shadows=SHAPES)
  build()
  start = prepare(path)
  assert start.lines == [
    f'5 variables restored from {path}, 0 left out, 0 missing, 0 '
    'unexpected; not needed: 5 moving averages.',
    'The weights are taken, not their moving averages.',
  ]
  assert restored(start) == dict.fromkeys(SHAPES, 1)


def test_only_moving_averages(save, graph, tmp_path):
  path = save(less=CONV, shadows=CONV)
  build()
  start = prepare(path)
  assert start.lines[1:] == [
    '3 of them are there only as moving averages, which are taken.'
  ]
  assert restored(start) == {
    **dict.fromkeys(CONV, 2),
    **dict.fromkeys(LOGITS, 1),
  }
  assert start.restored['net/conv1/weights'] == (
    'net/conv1/weights/ExponentialMovingAverage'
  )


def test_moving_averages_of_the_new_run_begin_at_the_weights(save, graph):
  """Those of TensorFlow begin at the random initial values."""
  path = save(classes=4)
  build()
  averages = tf.train.ExponentialMovingAverage(0.9)
  averages.apply(slim.get_model_variables())
  found = restored(prepare(path))
  for name in SHAPES:
    assert (
      found[name]
      == found[name + contents.SHADOW]
      == (1 if name in CONV else -1)
    )


# Random for good.


def test_what_is_neither_restored_nor_trained(save, graph):
  path = save(classes=4)
  build()
  start = prepare(path, trainable_scopes='net/conv1')
  assert start.lines[-1] == (
    'note: neither restored nor trained, so they stay random: '
    'net/logits/weights [5, 3], net/logits/biases [3]. Is their scope '
    'missing in --trainable_scopes?'
  )
  assert not any(
    'random' in line
    for line in prepare(path, trainable_scopes='net/logits').lines
  )


def test_an_auxiliary_head_that_is_not_wanted(save, graph, tmp_path):
  """It is nothing unexpected."""
  path = save(extra=['auxiliary/conv/weights', 'auxiliary/logits/weights'])
  build()
  start = prepare(path)
  assert start.lines == [
    f'5 variables restored from {path}, 0 left out, 0 missing, 0 unexpected; '
    'not needed: 2 of an auxiliary head.'
  ]
  start.write(str(tmp_path))
  written = json.loads((tmp_path / 'warm_start.json').read_text())
  assert written['not_needed']['auxiliary'] == 2
  assert written['unexpected'] == []
