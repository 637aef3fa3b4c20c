"""convert_weights.py, and what the other scripts make of what it writes."""

import json
import pathlib

import numpy as np
import pytest

import classify_image
import convert_weights
import eval_image_classifier
import export_inference_graph
import inspect_checkpoint
import train_image_classifier
from engine.checkpoints import architecture
from engine.checkpoints.convert import keras_files, recognition, writing
from engine.config import runs
from tests.builders import call, fast, refused, tensors
from tests.engine.checkpoints.convert import sources


@pytest.fixture
def converted(workplace, monkeypatch):
  """A converted folder, `out`, of as many classes as the colours."""
  published = sources.PUBLISHED['keras_v1']._replace(preprocessing='inception')
  monkeypatch.setattr(
    recognition, 'PUBLISHED', {**sources.PUBLISHED, 'keras_v1': published}
  )
  sources.prove_on_small_images(monkeypatch)
  _, arrays = sources.tiny('keras_v1')
  sources.write_legacy('w.h5', arrays)
  printed = call(convert_weights, source='w.h5', output='out')
  assert printed.status == 0, printed.err
  return printed


def test_what_is_printed(converted):
  assert converted.out.startswith(
    'resnet_v1_tiny --root_block=7x7_symmetric, of 5 classes, by '
    'keras.applications.\nPreprocessing inception, images of 224x224, '
    'labels_offset 0.\nEqual to its source'
  )
  assert converted.out.endswith('Written to out.\n')
  inspected = call(inspect_checkpoint, 'out')
  assert 'converted to   resnet_v1_tiny, says the config.json' in inspected.out
  assert 'preprocessing  inception (says config.json)' in inspected.out


@pytest.mark.slow
def test_evaluation_and_images(converted, colours):
  """Of data with a background and without, whose labels differ by 1."""
  flags = {'checkpoint_path': 'out', 'eval_image_size': 32}
  data = {'dataset_name': 'flowers', 'dataset_dir': colours}
  printed = call(eval_image_classifier, **flags, **data)
  assert printed.status == 0, printed.err
  image = pathlib.Path('a.png')
  from PIL import Image

  Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(image)
  printed = call(classify_image, str(image), '--json', **flags)
  assert printed.status == 0, printed.err
  assert len(json.loads(printed.out)['predictions']) == 5
  refused(
    call(classify_image, str(image), **flags, root_block='7x7'),
    '--root_block=7x7 contradicts the run',
  )
  printed = call(export_inference_graph, checkpoint_path='out', image_size=32)
  assert printed.status == 0, printed.err


@pytest.mark.slow
def test_fine_tuning(converted, colours):
  """The network, preprocessing and size of the source, said in a line."""
  flags = {
    name: value
    for name, value in fast(colours).items()
    if name not in ('model_name', 'preprocessing_name', 'train_image_size')
  }
  flags['max_number_of_steps'] = 1
  printed = call(
    train_image_classifier, **flags, train_image_size=32, checkpoint_path='out'
  )
  assert printed.status == 0, printed.err
  assert (
    'note: the weights of out are of --model_name=resnet_v1_tiny '
    '--root_block=7x7_symmetric --batch_norm_epsilon=1.001e-05, as its '
    'config.json says: preprocessing inception, images of 32x32'
  ) in printed.out
  run = runs.read('run')
  assert run['model_name'] == 'resnet_v1_tiny'
  assert run['root_block'] == '7x7_symmetric'
  assert run['batch_norm_epsilon'] == 1.001e-5
  assert run['preprocessing_name'] == 'inception'
  assert run['dataset_name'] == 'flowers'
  # Of that run the next one takes over what makes its values.
  printed = call(
    train_image_classifier,
    **{**flags, 'train_dir': 'next'},
    model_name='resnet_v1_tiny',
    preprocessing_name='inception',
    train_image_size=32,
    checkpoint_path='run',
  )
  assert printed.status == 0, printed.err
  assert runs.read('next')['batch_norm_epsilon'] == 1.001e-5
  assert runs.read('next')['root_block'] == '7x7_symmetric'


def test_back(converted, monkeypatch):
  """What was converted is written again, and how to load it is said."""
  refused(
    call(convert_weights, source='out', to='keras', output='back.h5'),
    'resnet_v1_tiny has no counterpart in Keras',
  )
  monkeypatch.setitem(writing.KERAS, 'resnet_v1_tiny', 'keras.Tiny')
  monkeypatch.setattr(architecture, 'width', lambda found: 1.0)
  printed = call(convert_weights, source='out', to='keras', output='back.h5')
  assert printed.status == 0, printed.err
  assert printed.out.startswith('out/model.ckpt-0 is resnet_v1_tiny.\nEqual to')
  assert printed.out.endswith(
    "Written to back.h5. To load it:\n  keras.Tiny(weights='back.h5', "
    'classes=5)\n'
  )
  first, again = (keras_files.read(path).values for path in ('w.h5', 'back.h5'))
  assert first.keys() == again.keys()
  for name, array in first.items():
    if name.endswith('/moving_mean'):  # into which the bias was folded
      array = array - first[name.replace('_bn/moving_mean', '_conv/bias')]
    if not name.endswith('_conv/bias'):
      np.testing.assert_array_equal(again[name], array)


def test_flags_of_one_way(workplace):
  refused(
    call(
      convert_weights, source='run', to='keras', output='w.h5', num_classes=3
    ),
    '--num_classes is for the weights of another library, and --to=keras',
  )


def test_no_source(workplace):
  refused(call(convert_weights, output='out'), '--source is missing')
  refused(call(convert_weights, source='w.h5'), '--output is missing')
  refused(
    call(convert_weights, source='w.h5', output='out', root_block='7x7'),
    '--root_block is for --name_map',
  )
  refused(call(convert_weights, source='w.h5', output='out'), '--source')


def test_names_of_a_user(workplace):
  values = sources.scopeless('resnet_v1_tiny')
  np.savez('w.npz', **{f'_{i}': v for i, v in enumerate(values.values())})
  pathlib.Path('names.csv').write_text(
    '\n'.join(f'_{i},resnet_v1_tiny/{name},no' for i, name in enumerate(values))
  )
  printed = call(
    convert_weights, source='w.npz', output='out', name_map='names.csv'
  )
  assert printed.status == 0, printed.err
  held = tensors('out/model.ckpt-0')
  assert len(held) == len(values)
