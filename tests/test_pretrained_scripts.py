"""Names of published weights where the scripts take a checkpoint."""

import json
import pathlib
import tarfile

import numpy as np
import pytest

import classify_image
import eval_image_classifier
import export_inference_graph
import inspect_checkpoint
import train_image_classifier
from engine.checkpoints import locate
from engine.config import scripts as configs
from engine.resolve.training import training
from tests import builders, published

pytestmark = pytest.mark.usefixtures('workplace', 'unevaluated', 'uncompared')
NAME = 'pretrained:resnet_v1_tiny'


@pytest.fixture
def flags(colours):
  """Flags that leave the choice of the network to the weights."""
  flags = builders.fast(colours)
  for name in ('model_name', 'preprocessing_name', 'train_image_size'):
    del flags[name]
  return {**flags, 'checkpoint_path': NAME, 'max_number_of_steps': 1}


def write_archive(publisher, network, classes):
  """Adds an archive of a network, other.tar.gz, to the server's folder."""
  path = publisher.folder / 'other.tar.gz'
  checkpoint = builders.write_released(
    publisher.folder / 'other.ckpt', network, classes, 1
  )
  with tarfile.open(path, 'w:gz') as file:
    file.add(checkpoint, 'other.ckpt')
  return path


def resolved(**flags):
  return training(configs.TrainConfig(**flags))[0]


def test_training_follows_the_weights(flags, publisher, archive):
  """It says so in a line; a resumed run needs neither network nor cache."""
  printed = builders.train(**flags)
  assert printed.status == 0, printed.err
  assert (
    'note: the weights of pretrained:resnet_v1_tiny (tfslim:resnet_v1_tiny) '
    'are of --model_name=resnet_v1_tiny --root_block=7x7, as its config.json '
    'says: preprocessing inception, images of 40x40, new logits.\n'
  ) in printed.out
  start = {
    'weights': 'tfslim:resnet_v1_tiny',
    'sha256': published.sha256(archive).value,
  }
  config = json.loads(pathlib.Path('run/config.json').read_text())
  assert config['start'] == start
  assert config['checkpoint_path'] == NAME
  assert config['model_name'] == 'resnet_v1_tiny'
  assert config['preprocessing_name'] == 'inception'
  assert config['train_image_size'] == 40
  warm = json.loads(pathlib.Path('run/warm_start.json').read_text())
  assert {key: warm[key] for key in start} == start
  before, after = builders.tensors(locate.find(NAME)), builders.tensors('run')
  mean = 'resnet_v1_tiny/conv1/weights'
  np.testing.assert_allclose(before[mean], after[mean], atol=0.1)

  publisher.stop()
  publisher.cache.parent.rename(publisher.cache.parent.with_name('gone'))
  again = builders.train(**{**flags, 'max_number_of_steps': 2})
  assert again.status == 0, again.err
  assert 'Resuming from' in again.out
  resumed = builders.train(resume='run', max_number_of_steps=3)
  assert resumed.status == 0, resumed.err
  config = json.loads(pathlib.Path('run/config.json').read_text())
  assert config['start'] == start
  assert len(publisher.requests) == 1


def test_flags_go_before_the_weights(flags, publisher):
  config = resolved(
    **flags, preprocessing_name='vgg', train_image_size=48, labels_offset=1
  )
  assert config.preprocessing_name == 'vgg'
  assert config.train_image_size == 48
  assert config.labels_offset == 1


def test_labels_of_the_same_classes(flags, publisher, archive, capsys):
  """1000 logits and 1001 labels; here 4 and 5."""
  path = write_archive(publisher, 'resnet_v1_tiny', 4)
  publisher.table['tfslim:four'] = published.entry(path, num_classes=4)
  config = resolved(**{**flags, 'checkpoint_path': 'tfslim:four'})
  assert config.labels_offset == 1
  assert 'images of 40x40, labels_offset 1.' in capsys.readouterr().out


@pytest.mark.parametrize(
  'wrong, words',
  [
    (
      {'model_name': 'resnet_v2_tiny'},
      (
        '--model_name=resnet_v2_tiny contradicts',
        f'--checkpoint_path={NAME}',
        'which is tfslim:resnet_v1_tiny, of resnet_v1_tiny',
      ),
    ),
    (
      {'checkpoint_path': 'pretrained:resnet_v1_tinny'},
      ('Did you mean resnet_v1_tiny?', '--list_pretrained'),
    ),
    (
      {'checkpoint_path': 'pretrianed:resnet_v1_tiny'},
      ('Did you mean pretrained:resnet_v1_tiny?',),
    ),
  ],
)
def test_a_training_that_is_refused(flags, publisher, wrong, words):
  printed = builders.train(**{**flags, **wrong})
  builders.refused(printed, *words)
  assert publisher.requests == [] and not pathlib.Path('run').exists()


def test_options_of_the_network(flags, publisher, archive, capsys):
  """They are those of the weights; what a flag changes is said."""
  publisher.table['tfslim:resnet_v1_tiny'] = published.entry(
    archive, root_block='3x3'
  )
  assert resolved(**flags, root_block='beta').root_block == 'beta'
  assert (
    '--root_block=beta, where the weights of pretrained:resnet_v1_tiny were '
    'trained with 3x3: their values are others.'
  ) in capsys.readouterr().out
  assert resolved(**flags).root_block == '3x3'


def test_without_a_checkpoint_the_default_stays(flags):
  del flags['checkpoint_path']
  assert resolved(**flags).model_name == 'resnet_v2_50'


def test_the_network_of_a_run_of_ones_own(flags, digits_run):
  config = resolved(**{**flags, 'checkpoint_path': str(digits_run.folder)})
  assert config.model_name == 'resnet_v2_tiny'
  assert config.preprocessing_name == 'inception'  # its data's was digits


def test_a_decoder_for_the_weights(publisher, archive, shapes, capsys):
  """DeepLab's networks get the decoder that they were made for."""
  path = write_archive(publisher, 'resnet_v1_small', 1000)
  publisher.table['deeplab:tiny'] = published.entry(
    path, network='resnet_v1_small'
  )
  config = resolved(
    dataset_dir=shapes,
    checkpoint_path='deeplab:tiny',
    decoder='deeplabv3plus',
    train_crop_size='33',
    train_dir='run',
    batch_size=2,
  )
  assert config.decoder_low_level == 'residual'
  assert config.preprocessing_name == 'inception'
  printed = capsys.readouterr().out
  assert '--decoder_low_level=residual' in printed


def test_evaluation(publisher, colours):
  """Of data with the same classes; what is written goes to runs/."""
  path = write_archive(publisher, 'resnet_v1_tiny', 5)
  publisher.table['tfslim:five'] = published.entry(path, num_classes=5)
  printed = builders.call(
    eval_image_classifier,
    checkpoint_path='tfslim:five',
    dataset_name='flowers',
    dataset_dir=colours,
  )
  assert printed.status == 0, printed.err
  told = json.loads(pathlib.Path('runs/tfslim-five/eval/eval.json').read_text())
  assert told['image_size'] == 40 and told['model'] == 'resnet_v1_tiny'
  assert sorted(p.name for p in (publisher.cache / 'five').iterdir()) == [
    'config.json',
    'other.ckpt',
    'pretrained.json',
  ]
  refused = builders.call(
    eval_image_classifier,
    checkpoint_path='tfslim:five',
    model_name='resnet_v2_tiny',
    dataset_name='flowers',
    dataset_dir=colours,
  )
  builders.refused(refused, 'resnet_v2_tiny', 'resnet_v1_tiny')
  refused = builders.call(
    eval_image_classifier, checkpoint_path='tfslim:five', checkpoints='all'
  )
  builders.refused(refused, 'names one checkpoint')


def test_classification(publisher, workplace):
  builders.colour_image(0, 1).save('red.png')
  printed = builders.call(
    classify_image, 'red.png', checkpoint_path=NAME, json=True
  )
  assert printed.status == 0, printed.err
  assert 'Downloading' in printed.err
  assert len(json.loads(printed.out)['predictions']) == 5


def test_inspection(publisher):
  printed = builders.call(inspect_checkpoint, NAME)
  assert printed.status == 0, printed.err
  for line in (
    '  weights        tfslim:resnet_v1_tiny\n',
    '  labels_offset  1 (says config.json)\n',
    '  preprocessing  inception (says config.json)\n',
    '  image size     40x40 (says config.json)\n',
  ):
    assert line in printed.out
  assert 'trained as' not in printed.out


@pytest.mark.slow
def test_export(publisher):
  printed = builders.call(
    export_inference_graph, checkpoint_path=NAME, format='frozen_graph'
  )
  assert printed.status == 0, printed.err
  assert pathlib.Path(
    'runs/tfslim-resnet_v1_tiny/export/frozen_graph/model.json'
  ).exists()


@pytest.mark.parametrize(
  'script',
  [
    train_image_classifier,
    eval_image_classifier,
    classify_image,
    export_inference_graph,
    inspect_checkpoint,
  ],
)
def test_the_list(script, publisher):
  printed = builders.call(script, '--list_pretrained')
  assert printed.status == 0 and printed.err == ''
  assert 'tfslim:resnet_v1_tiny' in printed.out
  assert not list(pathlib.Path().iterdir())
