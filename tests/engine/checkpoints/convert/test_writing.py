"""The way back: what is written, bit by bit, and what is refused."""

import pathlib

import numpy as np
import pytest

from engine.checkpoints import contents
from engine.checkpoints.convert import (
  conversion,
  keras_files,
  naming,
  proof,
  recognition,
  safetensors_files,
  writing,
  writing_keras,
  writing_torch,
)
from engine.common import files
from nets import nets_factory
from tests.engine.checkpoints.convert import random_values
from tests.engine.checkpoints.convert.random_values import SYMMETRIC

PROOF = proof.Result(
  1e-7, 1e-7, 1e-6, 1e-6, 16, 161, ((224, 224),), 1e-5, 1e-2, 0.1
)


@pytest.fixture
def unproved(monkeypatch, tmp_path):
  """Nothing is compared, in an empty current folder; a list of what was."""
  monkeypatch.chdir(tmp_path)
  calls = []

  def compare(form, values, network, options, ours):
    calls.append((form, network, dict(options)))
    return PROOF

  monkeypatch.setattr(proof, 'compare', compare)
  return calls


def run(name, values, folder='run', **config):
  """Writes the checkpoint of a run, and its config.json."""
  path = pathlib.Path(folder)
  path.mkdir()
  contents.write_values(f'{folder}/model.ckpt-3', values)
  files.write_json(path / 'config.json', {'model_name': name, **config})
  return folder


CIRCLES = [
  ('safetensors', 'resnet_v1_18', SYMMETRIC, 'w.safetensors'),
  *(
    pytest.param(*case, marks=pytest.mark.slow)
    for case in [
      ('keras', 'resnet_v1_50', SYMMETRIC, 'w.h5'),
      ('keras', 'resnet_v2_50', SYMMETRIC, 'w.weights.h5'),
      ('safetensors', 'resnet_v1_5_50', SYMMETRIC, 'w.safetensors'),
      ('safetensors', 'wide_resnet_50_2', SYMMETRIC, 'w.safetensors'),
      ('safetensors', 'resnet_v1d_50', {'root_block': 'deep'}, 'w.safetensors'),
    ]
  ),
]


@pytest.mark.parametrize('to, name, options, output', CIRCLES)
def test_there_and_back_bit_by_bit(to, name, options, output, unproved):
  ours = random_values.with_scope(
    name, random_values.of_network(name, **options)
  )
  run(name, {**ours, 'global_step': np.array(3)}, **options)
  written = writing.write('run', to, output)
  assert written.num_classes == 7
  assert unproved == [
    (written.form, name, {**options, **written_shortcut(name)})
  ]
  arrays = (keras_files if to == 'keras' else safetensors_files).read(output)
  found = recognition.recognise(arrays)
  assert found.network == name and found.form == written.form
  assert found.values.keys() == ours.keys()
  for variable, value in ours.items():
    assert np.array_equal(found.values[variable], value), variable
  counts = [n for n in arrays.values if n.endswith('num_batches_tracked')]
  assert len(counts) == (
    0 if to == 'keras' else 20 if '18' in name else 53 + 2 * ('1d' in name)
  )
  for each in counts:
    assert arrays.values[each] == 3 and arrays.values[each].shape == ()
  assert written.notes == [
    '1 values of the optimizer and counters are left out: global_step.'
  ]


def written_shortcut(name):
  own = nets_factory.get_network(name).options.get('shortcut')
  return {'shortcut': own.default} if own else {}


@pytest.mark.slow
@pytest.mark.parametrize(
  'to, output', [('keras', 'w.h5'), ('safetensors', 'w.safetensors')]
)
def test_there_and_back_with_all_proofs(to, output, monkeypatch, tmp_path):
  """A file of ours, converted again, is the checkpoint it was made of."""
  monkeypatch.chdir(tmp_path)
  name = {'keras': 'resnet_v1_50', 'safetensors': 'resnet_v1_5_50'}[to]
  ours = random_values.with_scope(
    name, random_values.of_network(name, **SYMMETRIC)
  )
  epsilon = {} if to == 'safetensors' else {'batch_norm_epsilon': 1.001e-5}
  run(name, ours, **SYMMETRIC, **epsilon)
  written = writing.write('run', to, output)
  assert written.proof.beyond() == []
  conversion.convert(output, 'again')
  again = contents.read_values('again/model.ckpt-0')
  assert again.keys() == ours.keys()
  assert all(np.array_equal(again[each], ours[each]) for each in ours)


def sketch(name, root='7x7', classes=7, channels=3, width=1, more=()):
  """A kernel of each unit of a network, its root and its logits."""
  network = nets_factory.get_network(name)
  shapes = {
    f'{block.scope}/unit_{i}/{network.unit}/conv1/weights': (
      1, 1, 2, int(unit.get('depth_bottleneck', unit['depth']) * width),
    )
    for block in network.blocks()
    for i, unit in enumerate(block.args, 1)
  }  # fmt: skip
  for block in (1, 2):  # where the first units project
    shapes[f'block{block}/unit_1/{network.unit}/shortcut/weights'] = (
      1,
      1,
      2,
      2,
    )
  shapes['conv1/weights'] = (
    (7, 7, channels, 64) if root.startswith('7x7') else (3, 3, channels, 16)
  )
  if classes:
    shapes['logits/weights'] = (1, 1, 2, classes)
  scope = network.default_scope
  values = {f'{scope}/{k}': np.zeros(v, np.float32) for k, v in shapes.items()}
  return {**values, **{each: np.zeros(3, np.float32) for each in more}}


REFUSED = {
  'same pooling': (
    'keras', 'resnet_v1_50', {}, {},
    r'resnet_v1_50 has no counterpart in Keras: .*the max pooling at the end '
    r"alone \('SAME'.*--root_block=7x7_symmetric",
  ),
  'same pooling of torch': (
    'safetensors', 'resnet_v1_18', {}, {'root_block': '7x7'},
    "no counterpart in PyTorch: .*'SAME'",
  ),
  'stride of v1': (
    'safetensors', 'resnet_v1_50', {}, SYMMETRIC,
    'no counterpart in PyTorch: it strides by 1x1 convolutions',
  ),
  'stride of v1.5': (
    'keras', 'resnet_v1_5_50', {}, SYMMETRIC,
    'no counterpart in Keras: it strides the first 3x3',
  ),
  'beta': (
    'keras', 'resnet_v1_50_beta', {}, {'root_block': 'beta'},
    'no counterpart in Keras: there is no such network',
  ),
  'version 2': (
    'safetensors', 'resnet_v2_50', {}, SYMMETRIC,
    'no counterpart in PyTorch: its units normalize before',
  ),
  'CIFAR': (
    'keras', 'cifar_residual_20', {'root': 'cifar'}, {'root_block': 'cifar'},
    'cifar_residual_20 has no counterpart in Keras: it is a network for CIFAR',
  ),
  'decoder': (
    'keras', 'resnet_v1_50', {'more': ['aspp0/BatchNorm/gamma']}, SYMMETRIC,
    'The decoder of .* has no counterpart in Keras: it has aspp0/Batch',
  ),
  'dense logits': (
    'keras', 'resnet_v1_50', {}, {**SYMMETRIC, 'decoder': 'fcn'},
    'The decoder of .* has logits of every pixel',
  ),
  'grey images': (
    'safetensors', 'resnet_v1_18', {'channels': 1}, SYMMETRIC,
    'its images have 1 channels, and there they have 3',
  ),
  'width': (
    'safetensors', 'resnet_v1_18', {'width': 0.5}, SYMMETRIC,
    'it has 0.5 times the published channels',
  ),
  'shortcuts': (
    'safetensors', 'resnet_v1_18', {}, {**SYMMETRIC, 'shortcut': 'A'},
    'its shortcuts are of the kind A',
  ),
  'no logits': (
    'safetensors', 'resnet_v1_18', {'classes': None}, SYMMETRIC,
    'it has no logits',
  ),
  'epsilon': (
    'keras',
    'resnet_v1_50',
    {},
    {**SYMMETRIC, 'batch_norm_epsilon': 0.001},
    'its batch norm adds 0.001 to variances, and there it is 1.001e-05',
  ),
  'multi-grid': (
    'keras', 'resnet_v1_50', {}, {**SYMMETRIC, 'multi_grid': '1,2,4'},
    'dilated by the --multi_grid',
  ),
}  # fmt: skip


@pytest.mark.parametrize('case', REFUSED)
def test_what_has_no_counterpart_is_refused(case, unproved, tmp_path):
  to, name, options, config, sentence = REFUSED[case]
  run(name, sketch(name, **options), **config)
  output = 'w.h5' if to == 'keras' else 'w.safetensors'
  with pytest.raises(ValueError, match=sentence):
    writing.write('run', to, output)
  assert [each.name for each in tmp_path.iterdir()] == ['run']
  assert unproved == []


def test_outputs_are_refused_before_anything_is_read(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'w.h5').write_text('mine')
  for to, output, sentence in (
    ('keras', 'w.npz', 'Keras knows weights by the ending'),
    ('keras', 'w.h5', 'is there already'),
    ('safetensors', 'w.pth', 'let its name end with .safetensors'),
    ('torch', 'w.h5', 'let its name end with .pth or .pt'),
    ('onnx', 'w.onnx', '--to=onnx is unknown. It can be keras, torch, safe'),
  ):
    with pytest.raises(ValueError, match=sentence):
      writing.write('nothing', to, output)
  assert (tmp_path / 'w.h5').read_text() == 'mine'


def test_pytorch_is_asked_for(monkeypatch):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  with pytest.raises(ValueError, match='not installed: pip install torch, or'):
    writing_torch.check_torch('w.pth')


def test_a_difference_leaves_nothing(unproved, monkeypatch, tmp_path):
  def compare(*_):
    raise ValueError('they differ')

  monkeypatch.setattr(proof, 'compare', compare)
  monkeypatch.setattr(writing, 'arrays_of', lambda *_: {})
  run('resnet_v1_50', sketch('resnet_v1_50'), **SYMMETRIC)
  with pytest.raises(ValueError, match='they differ'):
    writing.write('run', 'keras', 'w.h5')
  assert [each.name for each in tmp_path.iterdir()] == ['run']


def test_moving_averages_are_written_where_they_are_evaluated(
  unproved, monkeypatch
):
  values = sketch('resnet_v1_50')
  raw = {name: value + 1 for name, value in values.items()}
  shadows = {
    f'{name}{contents.SHADOW}': value for name, value in values.items()
  }
  taken = {}
  monkeypatch.setattr(
    writing, 'arrays_of', lambda form, found, step: taken.update(found) or {}
  )
  monkeypatch.setitem(
    writing.FORMATS,
    'keras',
    writing.FORMATS['keras']._replace(write=lambda *_: None),
  )
  run('resnet_v1_50', {**raw, **shadows}, **SYMMETRIC, moving_average_decay=0.9)
  written = writing.write('run', 'keras', 'w.h5')
  assert not any(value.any() for value in taken.values()) and taken
  assert written.notes[0].startswith('the file has room for one set of weights')


def test_biases_before_batch_norm_are_zero():
  arrays = writing.arrays_of(
    'keras_v1', {'conv1/BatchNorm/moving_mean': np.ones(4)}
  )
  np.testing.assert_equal(
    arrays, {'conv1_bn/moving_mean': np.ones(4), 'conv1_conv/bias': np.zeros(4)}
  )
  with pytest.raises(ValueError, match='1 variables have no .*: conv9/weights'):
    writing.arrays_of('torch', {'conv9/weights': np.ones((1, 1, 1, 1))})


def test_how_to_load_is_said(unproved):
  def said(path, form, counterpart, classes):
    written = writing.Written(
      path, 'run', 'net', counterpart, form, classes, ['a'], PROOF
    )
    lines = writing.describe(written)
    assert lines[0] == 'run is net.' and lines[2] == 'note: a'
    return lines[-1].strip()

  assert said('w.h5', 'keras_v1', 'keras.applications.ResNet50', 7) == (
    "keras.applications.ResNet50(weights='w.h5', classes=7)"
  )
  assert said('w.h5', 'keras_v1', 'keras.applications.ResNet50', None) == (
    "keras.applications.ResNet50(weights='w.h5', include_top=False)"
  )
  assert said('w.pth', 'torch', 'torchvision.models.resnet18', 7) == (
    'torchvision.models.resnet18(num_classes=7).load_state_dict('
    "torch.load('w.pth', weights_only=True))"
  )
  assert said(
    'w.safetensors', 'torch_d', "timm.create_model('resnet50d')", 7
  ) == (
    "timm.create_model('resnet50d', num_classes=7).load_state_dict("
    "safetensors.torch.load_file('w.safetensors'))"
  )


def test_the_counterparts_are_networks_of_ours():
  for told in writing.FORMATS.values():
    assert told.networks.keys() <= {*nets_factory.NETWORKS}
  assert writing.KERAS.keys() | writing.TORCH.keys() == {
    name
    for published in recognition.PUBLISHED.values()
    for name in published.networks
  }
  assert writing._ROOTS.keys() == naming.FORMS.keys()


def test_layers_are_in_the_order_of_keras():
  names = [
    'predictions', 'conv2_block10_1_conv', 'conv2_block2_3_bn',
    'conv2_block2_0_conv', 'conv2_block2_3_conv', 'conv1_bn', 'conv1_conv',
  ]  # fmt: skip
  layers = writing_keras.layers({f'{name}/bias': name for name in names})
  assert [*layers] == [
    'conv1_conv', 'conv1_bn', 'conv2_block2_0_conv', 'conv2_block2_3_conv',
    'conv2_block2_3_bn', 'conv2_block10_1_conv', 'predictions',
  ]  # fmt: skip
