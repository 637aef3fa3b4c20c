"""Which network a file is of, and which files are refused."""

import numpy as np
import pytest

from engine.checkpoints.convert import naming, reading, recognition
from engine.checkpoints.convert.arrays import Arrays
from tests.engine.checkpoints.convert import sources


def recognise(values, form='safetensors', **options):
  return recognition.recognise(Arrays('F', form, values), **options)


def error(values, form='safetensors', **options):
  with pytest.raises(ValueError) as raised:
    recognise(values, form, **options)
  return str(raised.value)


def under(scope, values):
  return {f'{scope}/{name}': value for name, value in values.items()}


@pytest.mark.parametrize('form', naming.FORMS)
@pytest.mark.parametrize(
  'num_classes', [sources.CLASSES, pytest.param(None, marks=pytest.mark.slow)]
)
def test_forms(tiny, form, num_classes):
  values, arrays = sources.tiny(form, num_classes)
  found = recognise(arrays)
  published = sources.PUBLISHED[form]
  name = published.networks[0]
  assert (found.form, found.network, found.num_classes) == (
    form,
    name,
    num_classes,
  )
  assert found.options.get('root_block', 'deep') == published.root_block
  assert found.left_over == []
  assert found.settings['preprocessing_name'] == published.preprocessing
  assert found.settings['labels_offset'] == 0
  epsilon = 1.001e-5 if form.startswith('keras') else 1e-5
  assert found.settings['batch_norm_epsilon'] == epsilon
  for variable, value in values.items():
    ours = found.values[f'{name}/{variable}']
    bias = arrays.get(naming.bias_of_norm(form, variable))
    np.testing.assert_array_equal(ours, value if bias is None else value - bias)
  assert len(found.values) == len(values)


def test_every_number_of_units_is_published_once():
  for form, published in recognition.PUBLISHED.items():
    if form.startswith('keras'):
      units = [recognition.own_units(name) for name in published.networks]
      assert units == [(3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)]
    assert set(form for form in recognition.PUBLISHED) == set(naming.FORMS)


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  ['resnet_v1_18', 'resnet_v1_5_50', 'wide_resnet_50_2', 'resnext_50_32x4d'],
)
def test_networks_of_torchvision(name):
  values = {
    variable.partition('/')[2]: np.broadcast_to(np.float32(1), shape)
    for variable, shape in recognition.variables(
      name, {'root_block': '7x7_symmetric'}, 3
    ).items()
  }
  found = recognise(sources.arrays_of('torch', values))
  assert (found.network, found.num_classes) == (name, 3)
  assert found.options == {'root_block': '7x7_symmetric'}


def test_half_precision(tiny):
  values, arrays = sources.tiny('torch')
  half = {
    name: array.astype(np.float16) if array.dtype.kind == 'f' else array
    for name, array in arrays.items()
  }
  found = recognise(half).values['resnet_v1_tiny/logits/biases']
  assert found.dtype == np.float32
  np.testing.assert_array_equal(
    found, values['logits/biases'].astype(np.float16)
  )


@pytest.mark.parametrize('form', ['keras_v2', 'torch'])
def test_missing_statistics(tiny, form):
  _, arrays = sources.tiny(form)
  kept = {
    name: array
    for name, array in arrays.items()
    if not name.endswith(('running_mean', 'moving_mean'))
  }
  said = error(kept)
  assert 'statistics of batch norm of resnet_v' in said
  assert 'moving_mean' in said


def test_missing_arrays(tiny):
  _, arrays = sources.tiny('torch')
  del arrays['layer2.0.conv2.weight']
  said = error(arrays)
  assert 'lacks 1 of its' in said
  assert 'block2/unit_1/bottleneck_v1/conv2/weights' in said


def test_another_depth(tiny):
  _, arrays = sources.tiny('torch')
  more = {
    name.replace('layer2.0', 'layer2.1'): array
    for name, array in arrays.items()
  }
  said = error({**arrays, **more})
  assert (
    '(1, 2) units in its blocks' in said and 'resnet_v1_tiny (1, 1)' in said
  )


def test_another_shape(tiny):
  _, arrays = sources.tiny('torch')
  arrays['layer1.0.conv1.weight'] = np.zeros((9, 64, 1, 1), np.float32)
  said = error(arrays)
  assert 'block1/unit_1/bottleneck_v1/conv1/weights is [1, 1, 64, 9]' in said


def test_another_number_of_axes(tiny):
  _, arrays = sources.tiny('torch')
  arrays['conv1.weight'] = arrays['conv1.weight'][0]
  assert 'where 4 axes are expected' in error(arrays)


def test_another_network_with_more(tiny):
  _, arrays = sources.tiny('torch')
  arrays['layer1.0.se.fc1.weight'] = np.zeros((2, 2, 1, 1), np.float32)
  said = error(arrays)
  assert 'layer1.0.se.fc1.weight' in said and 'another network' in said


def test_a_head_of_somebody(tiny):
  _, arrays = sources.tiny('keras_v2', None)
  arrays['my_head/kernel'] = np.zeros((64, 2), np.float32)
  found = recognise(arrays, 'HDF5')
  assert found.left_over == ['my_head/kernel']
  assert found.num_classes is None


@pytest.mark.parametrize(
  ('one', 'other'), [('torch', 'keras_v1'), ('keras_v2', 'torch')]
)
def test_mixed_forms(tiny, one, other):
  arrays = sources.tiny(one)[1] | dict([*sources.tiny(other)[1].items()][:5])
  said = error(arrays)
  assert 'mixes names of' in said
  assert 'torchvision' in said and 'keras.applications' in said


def test_quantized(tiny):
  _, arrays = sources.tiny('torch')
  arrays['fc.weight'] = arrays['fc.weight'].astype(np.int8)
  assert 'fc.weight as int8' in error(arrays)


@pytest.mark.parametrize('value', [np.nan, np.inf, 1e300])
def test_no_numbers(tiny, value):
  _, arrays = sources.tiny('torch')
  arrays['fc.bias'] = np.full(sources.CLASSES, value, np.float64)
  assert 'values in fc.bias that are infinite or undefined' in error(arrays)


def test_other_names(tiny):
  said = error({'encoder.weight': np.zeros(3, np.float32)})
  assert 'encoder.weight' in said and '--name_map' in said
  assert 'no array' in error({})


def test_another_model_name(tiny):
  _, arrays = sources.tiny('torch')
  said = error(arrays, model_name='resnet_v2_50')
  assert '--model_name=resnet_v2_50 contradicts F, which is of' in said
  with pytest.raises(ValueError, match='no network named'):
    recognise(arrays, model_name='resnet')
  assert recognise(arrays, model_name='resnet_v1_tiny').num_classes == 5


# Slim's own.


def slim(values, **options):
  return recognise(values, reading.SLIM, **options)


def test_slim(tiny):
  values = under('resnet_v1_tiny', sources.scopeless('resnet_v1_tiny'))
  found = slim(values)
  assert (found.form, found.network, found.num_classes) == (
    'slim',
    'resnet_v1_tiny',
    5,
  )
  assert found.values.keys() == values.keys()
  assert found.settings['preprocessing_name'] == 'vgg'


def test_object_detection(tiny):
  """The last block is in a scope of its own."""
  values = sources.scopeless('resnet_v1_tiny', None)
  there = {
    ('SecondStage' if name.startswith('block2') else 'FirstStage')
    + f'FeatureExtractor/resnet_v1_tiny/{name}': value
    for name, value in values.items()
  }
  there['FirstStageBoxPredictor/ClassPredictor/weights'] = np.float32([1])
  found = slim(there)
  assert found.left_over == ['FirstStageBoxPredictor/ClassPredictor/weights']
  assert found.num_classes is None
  for name, value in values.items():
    np.testing.assert_array_equal(found.values[f'resnet_v1_tiny/{name}'], value)


def test_deeplabcut(tiny):
  values = under('resnet_v1_tiny', sources.scopeless('resnet_v1_tiny', None))
  head = {
    'pose/part_pred/block4/weights': np.zeros((3, 3, 2, 4), np.float32),
    'pose/locref_pred/block4/biases': np.zeros(2, np.float32),
  }
  found = slim({**values, **head})
  assert found.left_over == sorted(head)
  assert found.values.keys() == values.keys()


def test_deeplab(tiny):
  """With its decoder, which the engine knows by these names."""
  values = under('resnet_v1_tiny', sources.scopeless('resnet_v1_tiny', None))
  parts = {
    'aspp0/weights': np.zeros((1, 1, 2048, 8), np.float32),
    'logits/semantic/weights': np.zeros((1, 1, 8, 4), np.float32),
    'logits/semantic/biases': np.zeros(4, np.float32),
  }
  found = slim({**values, **parts})
  assert (found.network, found.task, found.num_classes) == (
    'resnet_v1_tiny',
    'segmentation',
    4,
  )
  assert found.values.keys() == {*values, *parts}


def test_two_networks(tiny):
  values = sources.scopeless('resnet_v1_tiny')
  said = error(
    under('a/resnet_v1_tiny', values) | under('b/resnet_v1_tiny', values),
    reading.SLIM,
  )
  assert 'several networks, under a/resnet_v1_tiny/ and b/' in said


def test_slim_without_statistics(tiny):
  values = under('resnet_v1_tiny', sources.scopeless('resnet_v1_tiny'))
  kept = {k: v for k, v in values.items() if 'moving' not in k}
  assert 'lacks 18 statistics of batch norm' in error(kept, reading.SLIM)


def test_slim_of_another_name(tiny):
  values = under('resnet_v1_tiny', sources.scopeless('resnet_v1_tiny'))
  said = error(values, reading.SLIM, model_name='resnet_v2_50')
  assert '--model_name=resnet_v2_50 contradicts F' in said


@pytest.mark.parametrize('classes, offset', [(1000, 1), (10, 0)])
def test_the_offset_of_labels_is_that_of_imagenet(tiny, classes, offset):
  _, arrays = sources.tiny('torch', classes)
  assert recognise(arrays).settings['labels_offset'] == offset
