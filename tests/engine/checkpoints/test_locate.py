"""Which checkpoint is taken, what is restored from it, and what not."""

import os
import pathlib
import tarfile

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from engine.checkpoints import locate
from nets.slim_compat import slim
from tests import fakes


def _build(scale=1.0, classes=3, more=False):
  """Makes the variables of a network of two layers, filled by `scale`."""

  def variable(name, shape):
    return slim.model_variable(
      name, shape, initializer=tf.constant_initializer(scale)
    )

  with tf.variable_scope('net'):
    found = [
      variable('conv1/weights', [4, 5]),
      variable('conv1/biases', [5]),
      variable('logits/weights', [5, classes]),
      variable('logits/biases', [classes]),
    ]
    if more:
      found.append(variable('conv2/weights', [2]))
  return found


@pytest.fixture
def save(tmp_path):
  """save(name, steps=(None,), **options): the path of the last checkpoint.

  The variables of step 3 are all 3; without steps they are 1.
  """

  def save(
    name, steps=(None,), version=tf.train.SaverDef.V2, averages=False, **options
  ):
    with tf.Graph().as_default():
      _build(**options)
      tf.train.get_or_create_global_step()
      tf.get_variable('net/conv1/weights/Momentum', [4, 5])
      variables = tf.global_variables()
      value = tf.placeholder(tf.float32, [])
      fill = [
        v.assign(tf.cast(tf.fill(v.shape, value), v.dtype.base_dtype))
        for v in variables
      ]
      extra = {}
      if averages:
        average = tf.train.ExponentialMovingAverage(0.9)
        average.apply(slim.get_model_variables())
        extra = {
          average.average_name(v): v for v in tf.moving_average_variables()
        }
        for v in slim.get_model_variables():
          extra[average.average_name(v)] = average.average(v)
          fill.append(average.average(v).assign(tf.fill(v.shape, value + 0.5)))
      saver = tf.train.Saver(
        {**{v.op.name: v for v in variables}, **extra},
        max_to_keep=99,
        write_version=version,
      )
      with tf.Session() as session:
        for step in steps:
          session.run(fill, {value: 1.0 if step is None else step})
          path = saver.save(session, str(tmp_path / name), global_step=step)
    return path

  return save


def _restored(restore):
  """Returns the values of all model variables, set to -1 before."""
  with tf.Session() as session:
    session.run([v.initializer for v in tf.global_variables()])
    restore(session)
    return {
      v.op.name: float(np.unique(session.run(v)).item())
      for v in slim.get_model_variables()
    }


CONV = ('net/conv1/weights', 'net/conv1/biases')
LOGITS = ('net/logits/weights', 'net/logits/biases')


def _all(conv, logits):
  return {**dict.fromkeys(CONV, conv), **dict.fromkeys(LOGITS, logits)}


# Which checkpoint.


def test_newest(save, tmp_path):
  path = save('model.ckpt', steps=(1, 2, 10))
  assert path == locate.prefix(str(tmp_path)) + '-10'
  assert locate.newest(str(tmp_path)) == path


def test_newest_of_nothing(tmp_path):
  assert locate.newest(str(tmp_path)) is None
  assert locate.newest(str(tmp_path / 'nowhere')) is None
  (tmp_path / 'checkpoint').write_text('garbage {')
  assert locate.newest(str(tmp_path)) is None


def _cut(path, ending, share):
  path = pathlib.Path(path + ending)
  os.truncate(path, int(path.stat().st_size * share))


def _remove(path, ending, share):
  os.remove(path + ending)


def _flip(path, ending, share):
  path = pathlib.Path(path + ending)
  data = bytearray(path.read_bytes())
  data[int(len(data) * share)] ^= 1
  path.write_bytes(data)


@pytest.mark.parametrize(
  'damage, share',
  [(_cut, 0), (_cut, 0.5), (_cut, 0.99), (_remove, 0), (_flip, 0.5)],
)
@pytest.mark.parametrize('ending', ['.index', '.data-00000-of-00001'])
def test_damaged_ones_are_passed_over(save, tmp_path, ending, damage, share):
  path = save('model.ckpt', steps=(1, 2, 3))
  for step in (2, 3):
    damage(f'{path[:-1]}{step}', ending, share)
  assert not locate.is_readable(path)
  assert locate.newest(str(tmp_path)) == path[:-1] + '1'
  assert locate.find(str(tmp_path)) == path[:-1] + '1'
  with pytest.raises(
    ValueError, match=f'The checkpoint {path} is damaged|There is no checkpoint'
  ):
    locate.find(path)


def test_moved_folder(save, tmp_path):
  save('a/model.ckpt', steps=(1, 2))
  (tmp_path / 'a').rename(tmp_path / 'b')
  assert locate.newest(str(tmp_path / 'b')) == str(
    tmp_path / 'b' / 'model.ckpt-2'
  )


def test_without_the_list(save, tmp_path):
  """A folder copied without the file `checkpoint`: the last written counts."""
  path = save('model.ckpt', steps=(9, 10, 11))
  (tmp_path / 'checkpoint').unlink()
  for step, seconds in ((9, 300), (10, 100), (11, 200)):
    os.utime(f'{path[:-2]}{step}.index', (seconds, seconds))
  assert locate.newest(str(tmp_path)) == path[:-2] + '9'


def test_to_continue(save, tmp_path):
  assert locate.to_continue(str(tmp_path / 'nowhere')) is None
  assert locate.to_continue(str(tmp_path)) is None
  path = save('model.ckpt', steps=(1, 2))
  assert locate.to_continue(str(tmp_path)) == path
  _cut(path, '.index', 0.5)
  assert locate.to_continue(str(tmp_path)) == path[:-1] + '1'
  _cut(path[:-1] + '1', '.index', 0.5)
  with pytest.raises(
    ValueError,
    match=f'No checkpoint in {tmp_path} can be '
    'read. Remove them, or name another --train_dir',
  ):
    locate.to_continue(str(tmp_path))


@pytest.mark.parametrize(
  'ending', ['', '.index', '.meta', '.data-00000-of-00001']
)
def test_find_by_any_of_its_files(save, ending):
  path = save('model.ckpt', steps=(1, 2))
  assert locate.find(f'{path[:-1]}1{ending}') == path[:-1] + '1'


def test_find_nothing(tmp_path):
  with pytest.raises(
    ValueError, match=f'no readable checkpoint in {tmp_path}: train first'
  ):
    locate.find(str(tmp_path))
  with pytest.raises(
    ValueError,
    match=f'There is no checkpoint {tmp_path}/a: --checkpoint_path takes',
  ):
    locate.find(str(tmp_path / 'a'))


@pytest.mark.parametrize('data', [b'', b'hello world' * 20, bytes(1000)])
def test_find_garbage(tmp_path, data):
  path = tmp_path / 'model.ckpt'
  path.write_bytes(data)
  with pytest.raises(ValueError, match=f'{path} is damaged, or is another '):
    locate.find(str(path))


@pytest.mark.parametrize(
  'name, near',
  [
    ('model.ckpt-3', 'model.ckpt-2'),
    ('modle.ckpt-2', 'model.ckpt-2'),
    ('zzz', None),
  ],
)
def test_find_suggests(save, tmp_path, name, near):
  save('model.ckpt', steps=(1, 2))
  with pytest.raises(ValueError) as error:
    locate.find(str(tmp_path / name))
  assert ('Did you mean' in str(error.value)) == (near is not None)
  assert near is None or str(tmp_path / near) in str(error.value)


def test_find_names_what_it_was_given_by(tmp_path):
  (tmp_path / 'garbage').write_text('no checkpoint')
  for name in '', 'nowhere', 'garbage':
    with pytest.raises(ValueError, match=r'\bPATH\b'):
      locate.find(str(tmp_path / name), 'PATH')


def test_find_in_an_archive(save, tmp_path):
  """As TF-Slim's are downloaded."""
  path = save('old.ckpt', version=tf.train.SaverDef.V1)
  archive = tmp_path / 'resnet_v1_50_2016_08_28.tar.gz'
  with tarfile.open(archive, 'w:gz') as file:
    file.add(path, 'old.ckpt')
  with pytest.raises(ValueError, match=f'{archive} is an archive: unpack it'):
    locate.find(str(archive))


@pytest.mark.parametrize('name', ['resnet_v1_50.ckpt', 'model.ckpt-7'])
def test_find_first_format_in_a_folder(save, tmp_path, name):
  """Without the file `checkpoint`, as released ones are unpacked."""
  (tmp_path / 'a').mkdir()
  path = save(f'a/{name}', version=tf.train.SaverDef.V1)
  (tmp_path / 'a/checkpoint').unlink()
  assert locate.version(path) == 'V1'
  assert locate.find(str(tmp_path / 'a')) == path
  save('a/b.ckpt', steps=(3,))
  assert locate.version(str(tmp_path / 'a/b.ckpt-3')) == 'V2'


def test_num_classes(save, tmp_path):
  assert locate.num_classes(save('a', classes=7)) == 7
  shadows = str(tmp_path / 'shadows')
  fakes.write_checkpoint(
    shadows,
    {
      'logits/weights/ExponentialMovingAverage': np.zeros([5, 4], np.float32),
      'logits/weights/Momentum': np.zeros([5, 4], np.float32),
    },
  )
  assert locate.num_classes(shadows) == 4
  bare = str(tmp_path / 'bare')
  fakes.write_checkpoint(bare, {'conv1/weights': np.zeros(3, np.float32)})
  assert locate.num_classes(bare) is None


def test_find_first_format(save):
  path = save('old.ckpt', version=tf.train.SaverDef.V1)
  assert os.path.isfile(path) and not os.path.exists(path + '.index')
  assert locate.find(path) == path
  os.truncate(path, os.path.getsize(path) // 2)
  with pytest.raises(ValueError, match='is damaged'):
    locate.find(path)


# Which variables.


def _names(variables):
  return [v.op.name for v in variables]


@pytest.mark.parametrize(
  'scopes, names',
  [
    (None, CONV + LOGITS),
    ('', CONV + LOGITS),
    ('net', CONV + LOGITS),
    ('net/logits', LOGITS),
    ('net/logits/', LOGITS),
    (' net/logits , net/conv1/biases,', ('net/conv1/biases', *LOGITS)),
    ('net/logits,net/logits/biases', LOGITS),
    ('net/conv1/weights', CONV[:1]),
  ],
)
def test_matching(graph, scopes, names):
  assert _names(locate.matching(_build(), scopes, 'x')) == list(names)


@pytest.mark.parametrize(
  'scope, near',
  [
    ('net/logit', 'net/logits'),
    ('logits', 'net/logits'),
    ('ne', 'net'),
    ('net/conv', 'net/conv1'),
    ('zzz', 'net, net/conv1'),
  ],
)
def test_matching_nothing(graph, scope, near):
  """A scope is no prefix of a name: 'net/logit' is not 'net/logits'."""
  with pytest.raises(
    ValueError,
    match='--trainable_scopes: no variable is '
    f"under the scope '{scope}'. The nearest are:.*{near}",
  ):
    locate.matching(_build(), f'net/conv1,{scope}', 'trainable_scopes')


# Evaluation.


def test_restorer(save, graph):
  path = save('a')
  _build(-1)
  assert _restored(locate.restorer(path, None)) == _all(1, 1)


def test_restorer_of_averages(save, graph):
  path = save('a', averages=True)
  _build(-1)
  assert _restored(locate.restorer(path, None)) == _all(1, 1)
  assert _restored(locate.restorer(path, 0.9)) == _all(1.5, 1.5)


def test_restorer_lacks_averages(save, graph):
  path = save('a')
  _build()
  with pytest.raises(
    ValueError,
    match=f'The checkpoint {path} lacks 4 variable'
    's of the network, net/conv1/weights/ExponentialMovingAve'
    r'rage, .* and 1 more: was it trained with '
    '--moving_average_decay',
  ):
    locate.restorer(path, 0.9)


def test_restorer_of_another_network(save, graph):
  path = save('a')
  _build(more=True)
  with pytest.raises(
    ValueError,
    match='lacks 1 variables of the network, '
    r'net/conv2/weights: is --model_name right\?',
  ):
    locate.restorer(path, None)


def test_restorer_of_other_classes(save, graph):
  path = save('a', classes=4)
  _build()
  with pytest.raises(ValueError) as error:
    locate.restorer(path, None)
  assert str(error.value) == (
    'net/logits/weights is [5, 3] in the network and [5, 4] in the '
    f'checkpoint {path}: is the number of classes right? See --dataset_name '
    'and --labels_offset.'
  )


def test_restorer_of_another_depth(graph, tmp_path, tiny):
  """Told even where the checkpoint has all that the network needs."""
  path = str(tmp_path / 'a.ckpt')
  unit = 'tiny/block1/unit_{}/bottleneck_v1/conv1/weights'
  fakes.write_checkpoint(
    path,
    {unit.format(i): np.zeros([1, 1, 64, 4], np.float32) for i in range(1, 4)},
  )
  tiny(tf.zeros([1, 32, 32, 3]))
  with pytest.raises(
    ValueError, match="its block1 has 3 units, the network's 2"
  ):
    locate.restorer(path, None)


def test_scopes_without_a_name(graph):
  with pytest.raises(ValueError, match='--trainable_scopes=, names no scope'):
    locate.matching(_build(), ',', 'trainable_scopes')
