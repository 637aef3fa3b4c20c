"""Tables of names, and thin networks by them."""

import numpy as np
import pytest

from engine.checkpoints.convert import name_map
from engine.checkpoints.convert.arrays import Arrays
from engine.checkpoints.convert.name_map import Entry
from tests.engine.checkpoints.convert import sources


@pytest.fixture
def table(tmp_path):
  """table(text): the path of a file of names."""

  def write(text):
    path = tmp_path / 'names.csv'
    path.write_text(text)
    return str(path)

  return write


def test_lines(table):
  path = table(
    'source,ours,transpose\nconv1 , conv1/weights,yes\n\n"a,b",c/beta,NO\n'
  )
  assert name_map.read(path) == [
    Entry('conv1', 'conv1/weights', True),
    Entry('a,b', 'c/beta', False),
  ]


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('a,b\n', "line 1: 'a,b' is not the name"),
    ('a,b,maybe\n', 'line 1'),
    ('a,b,yes\nc,b,no\n', 'line 2: b was named before'),
    ('a,b,yes\na,c,no\n', 'line 2: a was named before'),
    ('', 'no line with names'),
    ('"a,b,yes\n', 'cannot be read'),
  ],
)
def test_wrong_lines(table, text, words):
  path = table(text)
  with pytest.raises(ValueError) as raised:
    name_map.read(path)
  assert words in str(raised.value) and path in str(raised.value)


def test_no_table(tmp_path):
  with pytest.raises(ValueError, match='absent.csv cannot be read: No such'):
    name_map.read(str(tmp_path / 'absent.csv'))


def thin(seed=0):
  """Values of a network of half the channels, arrays as Caffe has them, and
  their table."""
  values = sources.scopeless(
    'resnet_v1_tiny', 3, seed, depth_multiplier=1 / 4, root_block='7x7'
  )
  arrays, entries = {}, []
  for i, (name, value) in enumerate(values.items()):
    kernel = value.ndim == 4
    array = np.transpose(value, (3, 2, 0, 1)) if kernel else value
    if name.endswith('logits/weights'):
      array = array[:, :, 0, 0]
    elif name.endswith('gamma'):
      array = array.reshape(1, 1, 1, -1)
    arrays[f'layer_{i}'] = array
    entries.append(Entry(f'layer_{i}', name, kernel))
  return values, arrays, entries


def recognise(arrays, entries, **options):
  return name_map.recognise(Arrays('F', '.npz', arrays), entries, **options)


def test_a_thin_network(workplace):
  values, arrays, entries = thin()
  arrays['scale_factor'] = np.ones(1, np.float32)
  found = recognise(arrays, entries, model_name='resnet_v1_tiny')
  assert found.options == {'depth_multiplier': 1 / 4}
  assert (found.network, found.num_classes) == ('resnet_v1_tiny', 3)
  assert found.left_over == ['scale_factor']
  for name, value in values.items():
    np.testing.assert_array_equal(found.values[f'resnet_v1_tiny/{name}'], value)


def test_names_with_the_scope_tell_the_network(workplace):
  values, arrays, entries = thin()
  entries = [
    each._replace(ours=f'resnet_v1_tiny/{each.ours}') for each in entries
  ]
  assert recognise(arrays, entries).network == 'resnet_v1_tiny'


def test_the_root_that_a_flag_names(workplace):
  _, arrays, entries = thin()
  found = recognise(
    arrays, entries, model_name='resnet_v1_tiny', root_block='7x7_symmetric'
  )
  assert found.options['root_block'] == '7x7_symmetric'


def test_what_is_left_over(workplace):
  _, arrays, entries = thin()
  entries[0] = entries[0]._replace(ours='conv1/kernel')
  del entries[1]
  with pytest.raises(ValueError) as raised:
    recognise(arrays, entries, model_name='resnet_v1_tiny')
  said = str(raised.value)
  assert 'Variables without an array, 2: resnet_v1_tiny/conv1/weights' in said
  assert 'none of its variables, 1: resnet_v1_tiny/conv1/kernel' in said
  assert 'not taken, 1: layer_1.' in said


def test_arrays_that_are_not_there(workplace):
  _, arrays, entries = thin()
  del arrays['layer_3']
  with pytest.raises(ValueError, match='lacks 1 of the arrays .* layer_3'):
    recognise(arrays, entries)


def test_axes_that_are_not_transposed(workplace):
  _, arrays, entries = thin()
  entries = [each._replace(transpose=False) for each in entries]
  with pytest.raises(ValueError):
    recognise(arrays, entries, model_name='resnet_v1_tiny')


def test_no_names_of_units():
  with pytest.raises(ValueError, match='names no variable of a unit'):
    recognise(
      {'a': np.ones(3, np.float32)}, [Entry('a', 'conv1/weights', False)]
    )
