"""Fine-tuning by train_image_classifier.py: what is kept, trained and said."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets import dataset_utils
from engine.checkpoints import contents, warm_start
from engine.config import scripts as configs
from engine.resolve.training import training
from nets import nets_factory, resnet_generator
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace', 'unevaluated')
V1 = nets_factory.Released(1000, 40, 1)


@pytest.fixture
def flags(colours):
  """The flags of a short training on the colours."""
  return {**builders.fast(colours), 'learning_rate': 0.1}


@pytest.fixture
def released(workplace):
  """released(num_classes=1000, version=2, model_name=...): a checkpoint."""

  def write(num_classes=1000, version=2, model_name='resnet_v1_tiny'):
    return builders.write_released(
      workplace / 'released/resnet.ckpt', model_name, num_classes, version
    )

  return write


def rewrite(path, new, change):
  """Writes the checkpoint again, with `change(name, value)` or None."""
  values = {}
  for name, value in builders.tensors(path).items():
    changed = change(name, value)
    if changed:
      values[changed[0]] = changed[1]
  builders.write_checkpoint(new, values)
  return new


def prepare(classes=5, **flags):
  """What a training would start from: its configuration, and the start.

  The network of the flags is built in the current graph.
  """
  config, dataset = training(configs.TrainConfig(**flags))
  size = config.train_image_size
  channels = 1 if config.use_grayscale else 3
  nets_factory.get_network_fn(config.model_name, classes)(
    tf.zeros([1, size, size, channels])
  )
  return config, warm_start.prepare(config)


def complaint(**flags):
  """What is said to a start that is refused."""
  with tf.Graph().as_default(), pytest.raises(ValueError) as error:
    prepare(**flags)
  assert '\n' not in str(error.value)
  return str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize('version, excluded', [(1, True), (2, False)])
def test_the_last_layer_alone(version, excluded, flags, released):
  """All else keeps the restored bits, whether the logits are named or not."""
  checkpoint = released(version=version)
  if excluded:
    flags['checkpoint_exclude_scopes'] = 'resnet_v1_tiny/logits'
  else:
    flags.update(moving_average_decay=0.9, recalibrate_batch_norm_batches=0)
  folder = str(pathlib.Path(checkpoint).parent)
  printed = builders.train(
    **flags,
    checkpoint_path=(checkpoint, folder)[excluded],
    trainable_scopes='resnet_v1_tiny/logits',
  )
  assert printed.status == 0, printed.err
  assert (
    f'45 variables restored from {checkpoint}, 2 left out, 0 missing, 0 '
    'unexpected.\n'
  ) in printed.out
  reason = (
    '--checkpoint_exclude_scopes'
    if excluded
    else 'the checkpoint has 1000 classes, the network 5'
  )
  assert (
    f'Left out ({reason}): resnet_v1_tiny/logits/weights '
    '[1, 1, 64, 5], resnet_v1_tiny/logits/biases [5].\n'
  ) in printed.out
  before, after = builders.tensors(checkpoint), builders.tensors('run')
  kept = [
    name
    for name in before
    if '/logits/' not in name
    and not name.endswith(('moving_mean', 'moving_variance'))
  ]
  assert len(kept) == 27
  for name in kept:
    assert before[name].tobytes() == after[name].tobytes(), name
  assert after['resnet_v1_tiny/logits/weights'].shape == (1, 1, 64, 5)
  assert after['resnet_v1_tiny/logits/biases'].any()  # it has been trained
  assert not any('block1' in name for name in after if 'Momentum' in name)
  written = json.loads(pathlib.Path('run/warm_start.json').read_text())
  assert {v['name'] for v in written['restored']} == {
    name for name in before if '/logits/' not in name
  }
  assert [v['reason'] for v in written['skipped']] == [reason] * 2
  # Moving averages of what is not trained stay at the restored weights.
  for name in before if not excluded else ():
    if '/logits/' not in name and 'moving' not in name:
      shadow = after[name + contents.SHADOW]
      assert (shadow == before[name]).all(), name


@pytest.mark.slow
def test_from_a_run_of_ones_own(flags, digits_run):
  """With an optimizer, a step and moving averages of batch norm.

  When it is resumed it does not start there again.
  """
  flags.update(
    model_name='resnet_v2_tiny', checkpoint_path=str(digits_run.folder)
  )
  printed = builders.train(**flags)
  assert printed.status == 0, printed.err
  assert '2 left out, 0 missing, 0 unexpected; not needed: ' in printed.out
  assert ' of the optimizer, global_step.' in printed.out
  assert int(builders.tensors('run')['global_step']) == 2
  printed = builders.train(**{**flags, 'max_number_of_steps': 3})
  assert printed.status == 0, printed.err
  assert 'Resuming from' in printed.out
  assert 'restored from' not in printed.out


def test_scopes_that_match_nothing(flags, released):
  flags['checkpoint_path'] = released()
  for flag, value, nearest in (
    (
      'checkpoint_exclude_scopes',
      'resnet_v1_tiny/logit',
      'resnet_v1_tiny/logits',
    ),
    ('trainable_scopes', 'blok1', ''),
  ):
    said = complaint(**flags, **{flag: value})
    assert f'--{flag}' in said and f"'{value}'" in said and nearest in said


def test_another_family(flags, released):
  """To ignore what is missing does not help."""
  flags.update(model_name='resnet_v2_tiny', checkpoint_path=released())
  said = (
    f'The checkpoint {flags["checkpoint_path"]} is of resnet_v1_tiny (its '
    "units are bottleneck_v1, the network's bottleneck_v2): pass "
    '--model_name=resnet_v1_tiny.'
  )
  assert complaint(**flags, ignore_missing_vars=True) == said
  builders.refused(builders.train(**flags), said)
  assert not pathlib.Path('run/warm_start.json').exists()


def test_another_depth(flags, released, workplace, monkeypatch):
  """Told though the deeper one has all that the network needs."""
  monkeypatch.setitem(builders.UNITS, 'deep', (1, 2))
  builders.register_tiny_networks(monkeypatch.setitem)
  monkeypatch.setitem(resnet_generator.UNITS, 'tiny', (1, 2))
  checkpoint = released()
  monkeypatch.setitem(resnet_generator.UNITS, 'tiny', (1, 1))
  assert (
    f'{checkpoint} is of resnet_v1_deep (its block2 has 2 units, the '
    "network's 1): pass --model_name=resnet_v1_deep."
  ) in complaint(**flags, checkpoint_path=checkpoint)


def test_another_scope(flags, released):
  renamed = rewrite(
    released(), 'renamed.ckpt', lambda name, value: (f'module/{name}', value)
  )
  said = complaint(**flags, checkpoint_path=renamed)
  assert renamed in said
  assert (
    "but its variables begin with 'module/resnet_v1_tiny/' where those of "
    "the network begin with 'resnet_v1_tiny/'"
  ) in said


def test_one_channel(graph, flags, released):
  checkpoint = released()
  flags.update(checkpoint_path=checkpoint, use_grayscale=True)
  said = complaint(**flags)
  for words in (
    checkpoint,
    'for images of 3 channels, the network for 1',
    '--use_grayscale',
    '--checkpoint_exclude_scopes=resnet_v1_tiny/conv1',
  ):
    assert words in said
  _, start = prepare(**flags, checkpoint_exclude_scopes='resnet_v1_tiny/conv1')
  assert '7 left out' in start.lines[0]


def test_a_checkpoint_without_logits(graph, flags, released):
  bare = rewrite(
    released(),
    'bare.ckpt',
    lambda name, value: None if '/logits/' in name else (name, value),
  )
  flags['checkpoint_path'] = bare
  said = complaint(**flags)
  assert 'lacks 2 of the 47 variables to restore' in said
  assert (
    '--checkpoint_exclude_scopes=resnet_v1_tiny/logits or --ignore_missing_vars'
  ) in said
  _, start = prepare(**flags, ignore_missing_vars=True)
  assert (
    'Missing in the checkpoint, and trained afresh: '
    'resnet_v1_tiny/logits/weights [1, 1, 64, 5], '
  ) in start.lines[1]


# Moving averages.


def test_only_moving_averages(graph, flags, released):
  """Of a checkpoint that holds nothing else, as one for evaluation may."""
  checkpoint = released()
  shadows = rewrite(
    checkpoint,
    'shadows.ckpt',
    lambda name, value: (name + contents.SHADOW, value),
  )
  _, start = prepare(
    **flags, checkpoint_path=shadows, trainable_scopes='resnet_v1_tiny/logits'
  )
  assert (
    '45 of them are there only as moving averages, which are'
    in (start.lines[1])
  )
  name = 'resnet_v1_tiny/conv1/weights'
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    start.restore(session)
    found = session.run(start.variables[name])
  assert (found == builders.tensors(checkpoint)[name]).all()


# ImageNet.


@pytest.fixture
def imagenet(workplace, monkeypatch):
  """Flags of a training on a few examples with labels 1 to 1000."""
  name = 'resnet_v1_tiny'
  monkeypatch.setitem(
    nets_factory.NETWORKS,
    name,
    nets_factory.NETWORKS[name]._replace(released=V1),
  )
  folder = workplace / 'imagenet'
  folder.mkdir()
  for split in 'train', 'validation':
    dataset_utils.write_tfrecord(
      folder / f'{split}-00000-of-00001',
      (
        dataset_utils.image_to_tfexample(
          builders.encode(builders.colour_image(i % 5, i), 'png'),
          b'png',
          40,
          40,
          (1, 1000)[i % 2],
        )
        for i in range(6)
      ),
    )
  return {
    'model_name': name,
    'dataset_name': 'imagenet',
    'batch_size': 3,
    'dataset_dir': str(folder),
    'max_number_of_steps': 1,
    'recalibrate_batch_norm_batches': 0,
    'train_dir': 'run',
  }


def test_the_offset_of_a_released_checkpoint(graph, imagenet, released, capsys):
  checkpoint = released()
  config, start = prepare(1000, **imagenet, checkpoint_path=checkpoint)
  assert (
    f'note: {checkpoint} has 1,000 classes, as TF-Slim released '
    'resnet_v1_tiny: preprocessing vgg, images of 40x40, labels_offset '
    '1.\n'
  ) in capsys.readouterr().out
  assert '47 variables restored' in start.lines[0]
  assert ', 0 left out' in start.lines[0]
  assert config.labels_offset == 1


@pytest.mark.slow
def test_the_offset_of_a_flag_wins(imagenet, released):
  printed = builders.train(
    **imagenet, checkpoint_path=released(), labels_offset=0
  )
  assert printed.status == 0, printed.err
  assert 'labels_offset 0.\n' in printed.out
  assert 'in 1001 classes' in printed.out
  assert (
    'Left out (the checkpoint has 1000 classes, the network 1001; with '
    '--labels_offset=1 they would fit): '
  ) in printed.out


def test_no_offset_for_other_data_or_checkpoints(
  imagenet, colours, released, capsys
):
  def offset(**flags):
    return training(configs.TrainConfig(**flags))[0].labels_offset

  checkpoint = released()
  assert offset(**imagenet) == 0
  assert offset(**builders.fast(colours), checkpoint_path=checkpoint) == 0
  assert 'labels_offset' not in capsys.readouterr().out
  # A run of one's own is not released, though it has as many classes.
  pathlib.Path('released/config.json').write_text('{"labels_offset": 0}')
  assert offset(**imagenet, checkpoint_path=checkpoint) == 0
  assert 'as TF-Slim released' not in capsys.readouterr().out


# The real thing.


@pytest.mark.slow
def test_resnet_v1_50_as_released(workplace, colours):
  """V1 format and 1000 classes, into 5; and refused for resnet_v1_101."""
  checkpoint = builders.write_released(
    workplace / 'resnet_v1_50.ckpt', 'resnet_v1_50', 1000, 1
  )
  flags = {
    **builders.fast(colours),
    'model_name': 'resnet_v1_50',
    'max_number_of_steps': 1,
    'batch_size': 2,
    'recalibrate_batch_norm_batches': 0,
    'checkpoint_path': checkpoint,
  }
  with tf.Graph().as_default():
    nets_factory.get_network_fn('resnet_v1_101', 5)(tf.zeros([1, 32, 32, 3]))
    with pytest.raises(ValueError) as error:
      warm_start.prepare(configs.TrainConfig(checkpoint_path=checkpoint))
  assert str(error.value) == (
    f'The checkpoint {checkpoint} is of resnet_v1_50 (its block3 has 6 '
    "units, the network's 23): pass --model_name=resnet_v1_50."
  )
  printed = builders.train(**flags, trainable_scopes='resnet_v1_50/logits')
  assert printed.status == 0, printed.err
  assert '265 variables restored' in printed.out
  assert 'the checkpoint has 1000 classes, the network 5' in printed.out
  assert 'as TF-Slim released resnet_v1_50' in printed.out
  name = 'resnet_v1_50/block4/unit_3/bottleneck_v1/conv3/weights'
  assert (
    builders.tensors('run')[name] == builders.tensors(checkpoint)[name]
  ).all()


def kind_of(name):
  return next(
    (
      end
      for end in ('moving_mean', 'moving_variance', 'gamma', 'beta', 'weights')
      if name.endswith(end)
    ),
    '',
  )


def test_frozen_batch_norm(flags, released):
  """Its statistics keep their bits, and are what normalizes."""
  checkpoint = released()
  printed = builders.train(
    **flags, checkpoint_path=checkpoint, freeze_batch_norm=True
  )
  assert printed.status == 0, printed.err
  assert 'Recalibrating' not in printed.out and 'note:' not in printed.out
  before, after = builders.tensors(checkpoint), builders.tensors('run')
  same = {
    kind: {
      before[name].tobytes() == after[name].tobytes()
      for name in before
      if kind_of(name) == kind and '/logits/' not in name
    }
    for kind in ('moving_mean', 'moving_variance', 'gamma', 'weights')
  }
  assert same == {
    'moving_mean': {True},
    'moving_variance': {True},
    'gamma': {False},
    'weights': {False},
  }


@pytest.mark.slow
def test_frozen_batch_norm_without_a_checkpoint(flags):
  printed = builders.train(**flags, freeze_batch_norm=True)
  assert printed.status == 0, printed.err
  assert (
    'note: --freeze_batch_norm without --checkpoint_path normalizes by '
    'a mean of 0 and a variance of 1.'
  ) in printed.out


@pytest.mark.slow
def test_learning_rates_of_scopes(flags, released):
  """By plain gradient descent a step is as large as its multiplier."""
  steps = {}
  for factor in 1, 10:
    printed = builders.train(
      **{**flags, 'train_dir': f'times{factor}', 'max_number_of_steps': 1},
      checkpoint_path=released(),
      optimizer='sgd',
      weight_decay=0,
      recalibrate_batch_norm_batches=0,
      learning_rate_multipliers=(
        f'resnet_v1_tiny/logits={factor},resnet_v1_tiny/block1=0'
      ),
    )
    assert printed.status == 0, printed.err
    steps[factor] = builders.tensors(f'times{factor}')
  before = builders.tensors(released())
  logits, block = (
    'resnet_v1_tiny/logits/biases',
    ('resnet_v1_tiny/block1/unit_1/bottleneck_v1/conv1/weights'),
  )
  np.testing.assert_allclose(
    steps[10][logits], 10 * steps[1][logits], rtol=1e-5
  )
  assert np.abs(steps[1][logits]).max() > 1e-3
  assert (steps[10][block] == before[block]).all()
  root = 'resnet_v1_tiny/conv1/weights'
  assert (steps[10][root] == steps[1][root]).all()
  assert (steps[1][root] != before[root]).any()


def test_other_shortcuts(graph, flags, workplace):
  """Those of a checkpoint would be dropped; exclude them to begin anew."""
  flags['model_name'] = 'cifar_residual_8'
  path = str(workplace / 'released/projected.ckpt')
  with tf.Graph().as_default(), tf.Session() as session:
    nets_factory.get_network_fn('cifar_residual_8', 5)(
      tf.zeros([1, 32, 32, 3]), shortcut='C'
    )
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, path)
  flags['checkpoint_path'] = path
  said = complaint(**flags)
  assert (
    "the shortcut of its block1/unit_1 is a convolution, the network's is none"
  ) in said
  assert 'pass --model_name=cifar_residual_8 --shortcut=C' in said
  _, start = prepare(
    **flags, checkpoint_exclude_scopes='cifar_residual_8/logits'
  )
  assert start.restored
