"""export_inference_graph.py: artefacts that say what their checkpoint says."""

import contextlib
import importlib.util
import io
import json
import os
import pathlib
import shutil
import zipfile

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import export_inference_graph
from engine.config.export import FORMATS, ExportConfig
from engine.config.flags import parse
from engine.export import parity, standalone
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')
HAS_ONNX = all(map(importlib.util.find_spec, FORMATS['onnx'].modules))
HERE = [name for name in FORMATS if name != 'onnx' or HAS_ONNX]


def in_this_process(folder, inputs):
  """As `parity.run_alone`, without the seconds of another TensorFlow."""
  told = pathlib.Path(folder, 'here')
  np.savez(f'{told}.npz', **{str(i): each for i, each in enumerate(inputs)})
  standalone.main(folder, f'{told}.npz', f'{told}-found.npz')
  with np.load(f'{told}-found.npz') as found:
    values = [
      {
        name.partition('/')[2]: found[name]
        for name in found.files
        if name.startswith(f'{i}/')
      }
      for i in range(len(inputs))
    ]
  for path in told.parent.glob('here*.npz'):
    path.unlink()
  return values


@pytest.fixture
def alone(monkeypatch):
  monkeypatch.setattr(parity, 'run_alone', in_this_process)


def export(run, *arguments, output_dir='out', **flags):
  return builders.call(
    export_inference_graph,
    *arguments,
    checkpoint_path=getattr(run, 'folder', run),
    output_dir=output_dir,
    parity_examples=5,
    **flags,
  )


def read(path):
  return json.loads(pathlib.Path(path).read_text())


def predicted(run, image):
  """The probabilities of an image by the checkpoint, through its recipe."""
  from engine.config.scripts import ClassifyConfig
  from engine.resolve.files import files
  from engine.tasks.classification.image_files import classify_files

  _, config, checkpoint, told = files(
    ClassifyConfig(checkpoint_path=str(run.folder)), 'x'
  )
  image.save('one.png')
  names = told['class_names']
  with contextlib.redirect_stdout(io.StringIO()):
    found = classify_files(config, checkpoint, told, names, ['one.png'])
  shares = dict(found['one.png'])
  return np.array([shares[name] for name in names])


def test_all_formats_of_a_classifier(colours_run, alone):
  formats = ','.join(HERE)
  printed = export(colours_run, format=formats)
  assert printed.status == 0, printed.err
  assert sorted(os.listdir('out')) == sorted(HERE)  # nothing half-written
  image = builders.colour_image(2, 77, size=32)
  wanted = predicted(colours_run, image)
  for name in HERE:
    assert f'{name} ' in printed.out
    told, measured = (
      read(f'out/{name}/model.json'),
      read(f'out/{name}/parity.json'),
    )
    assert told['class_names'] == list(builders.COLOURS)
    assert (told['step'], told['labels_offset']) == (30, 0)
    assert told['task'] == 'classification'
    assert measured['outputs']['probabilities']['error'] < 1e-5
    model = standalone.Model(f'out/{name}')
    inputs = np.stack([np.asarray(image)] * 3)
    if told['input']['kind'] == 'encoded':
      inputs = [builders.encode(image, 'png')] * 3
    else:
      assert told['input']['shape'] == [None, 32, 32, 3]
    found = model(inputs)
    np.testing.assert_allclose(found['probabilities'], [wanted] * 3, atol=1e-5)
  top = standalone.Model('out/saved_model')([builders.encode(image, 'png')])
  assert top['top_names'][0, 0] == b'blue'
  np.testing.assert_allclose(
    top['top_probabilities'][0], -np.sort(-wanted), 1e-4
  )
  assert read('out/saved_model/assets/model.json') == read(
    'out/saved_model/model.json'
  )
  with zipfile.ZipFile('out/tflite/model.tflite') as associated:
    assert associated.read('labels.txt').decode().split() == list(
      builders.COLOURS
    )
  types = {
    node.op
    for node in tf.GraphDef.FromString(
      pathlib.Path('out/frozen_graph/graph.pb').read_bytes()
    ).node
  }
  assert not types & {'FusedBatchNormV3', 'ResizeBilinear', 'VarHandleOp'}


@pytest.mark.slow
def test_a_process_of_its_own(colours_run):
  """Without our packages; what is there already is replaced."""
  for _ in range(2):
    printed = export(colours_run, format='frozen_graph')
    assert printed.status == 0, printed.err
  assert os.listdir('out') == ['frozen_graph']
  assert not {'engine', 'nets'} & {
    line.split()[1].partition('.')[0]
    for line in pathlib.Path(standalone.__file__).read_text().splitlines()
    if line.strip().startswith(('import ', 'from '))
  }


@pytest.mark.slow
def test_quantized(colours_run, alone):
  for quantize, error in ('float16', 1e-2), ('int8', 0.3):
    printed = export(
      colours_run, format='tflite', quantize=quantize, calibration_examples=6
    )
    assert printed.status == 0, printed.err
    told = read(f'out/tflite_{quantize}/model.json')
    assert told['quantize'] == quantize
    measured = read(f'out/tflite_{quantize}/parity.json')['outputs']
    assert measured['probabilities']['error'] < error
    assert measured['probabilities']['same_first_class'] == 1


def test_masks(shapes_run, alone):
  """Of every size; where it is fixed, that of the training's crops."""
  printed = export(shapes_run, '--logits', format=','.join(HERE))
  assert printed.status == 0, printed.err
  for name in HERE:
    measured = read(f'out/{name}/parity.json')['outputs']
    assert measured['classes'] == {'same_pixels': 1, 'miou': 1}
    assert measured['logits']['error'] < 1e-5
    told = read(f'out/{name}/model.json')
    assert told['outputs']['classes']['dtype'] == 'int32'
    if name != 'saved_model':
      assert told['input']['shape'] == [None, 33, 33, 3]


@pytest.mark.slow
def test_masks_of_deeplabs_forms(shapes, workplace, alone):
  """Separable convolutions, pooled over a crop, of two scales."""
  flags = builders.shape_flags(
    shapes,
    decoder='deeplabv3plus',
    aspp_with_separable_conv=True,
    decoder_use_separable_conv=True,
    decoder_output_stride='4,2',
    image_pooling_crop_size=33,
    image_pyramid='0.5,1',
  )
  assert builders.train(**flags).status == 0
  printed = export('run', '--logits', format=','.join(HERE))
  assert printed.status == 0, printed.err
  for name in HERE:
    measured = read(f'out/{name}/parity.json')['outputs']
    assert measured['classes']['same_pixels'] > 0.999
    assert measured['logits']['error'] < 1e-5


@pytest.mark.slow
def test_features_and_other_inputs(colours_run, alone):
  printed = export(
    colours_run,
    format='saved_model,frozen_graph',
    input='preprocessed',
    end_point='resnet_v1_tiny/block1',
    batch_size=2,
  )
  assert printed.status == 0, printed.err
  told = read('out/frozen_graph/model.json')
  assert told['input']['shape'] == [2, 32, 32, 3]
  assert list(told['outputs']) == ['features']
  printed = export(colours_run, input='image', image_size='48,64')
  assert printed.status == 0, printed.err
  told = read('out/saved_model/model.json')
  assert told['input']['shape'] == [None, 48, 64, 3]


@pytest.mark.slow
def test_a_size_that_is_resized(colours_run, alone):
  printed = export(colours_run, format=','.join(HERE[1:]), image_size=40)
  assert printed.status == 0, printed.err
  for name in HERE[1:]:
    told = read(f'out/{name}/model.json')
    assert told['input']['shape'] == [None, 40, 40, 3]


def test_an_artefact_that_says_something_else(colours_run, monkeypatch):
  def wrong(folder, inputs):
    return [
      {name: value[::-1] + 0.5 for name, value in each.items()}
      for each in in_this_process(folder, inputs)
    ]

  monkeypatch.setattr(parity, 'run_alone', wrong)
  printed = export(colours_run, format='frozen_graph')
  assert printed.status == 1
  assert 'frozen_graph says something else than' in printed.err
  assert 'error of probabilities' in printed.err
  assert os.listdir('out') == []


def test_without_data(colours_run, workplace, alone):
  run = pathlib.Path(shutil.copytree(colours_run.folder, 'run'))
  config = read(run / 'config.json')
  config['dataset_dir'] = str(workplace / 'gone')
  (run / 'config.json').write_text(json.dumps(config))
  printed = export(run, format='frozen_graph')
  assert printed.status == 0, printed.err
  assert 'is compared with the checkpoint on random images' in printed.out
  builders.refused(
    export(run, format='tflite', quantize='int8'),
    '--quantize=int8 is calibrated on training images',
    '--quantize=float16',
  )


@pytest.mark.parametrize(
  'flags,words',
  [
    ({'format': 'tfilte'}, ['no format tfilte', 'Did you mean tflite?']),
    ({'format': 'onnx', 'input': 'encoded'}, ['takes no --input=encoded']),
    ({'quantize': 'int8'}, ['--quantize=int8 is for tflite']),
    ({'quantize': 'int4', 'format': 'tflite'}, ['--quantize=int4']),
    ({'quantize': 'true'}, ['--quantize=int8 is for tflite']),
    ({'end_point': 'resnet_v1_tiny/blok1'}, ['resnet_v1_tiny/block1']),
    ({'model_name': 'resnet_v1_50'}, ['model_name=resnet_v1_tiny']),
    ({'labels_offset': '1'}, ['labels_offset=0']),
    (
      {'input': 'preprocessed', 'image_size': '40'},
      ['takes 32x32', '--eval_image_size'],
    ),
    ({'output_file': 'x.pb'}, ['--output_file is for a graph without weights']),
    ({'logits': 'true'}, ['--logits is for segmentation']),
  ],
)
def test_refused(flags, words, colours_run, alone):
  builders.refused(export(colours_run, **flags), *words)
  assert not os.path.exists('out') or os.listdir('out') == []


def test_quantize_is_a_switch_too():
  for flag, value in (
    ('--quantize', 'int8'),
    ('--noquantize', None),
    ('--quantize=False', None),
    ('--quantize=float16', 'float16'),
  ):
    argv = ['export', flag, '--checkpoint_path=run', '--format=tflite']
    config, arguments = parse(ExportConfig, argv)
    assert (config.quantize, arguments) == (value, [])


def test_a_folder_of_something_else(colours_run):
  path = pathlib.Path('out', 'saved_model', 'mine.txt')
  path.parent.mkdir(parents=True)
  path.write_text('mine')
  builders.refused(export(colours_run), 'is no model that was exported')
  assert path.read_text() == 'mine'


def test_without_its_modules(colours_run, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  builders.refused(
    export(colours_run, format='onnx'), 'tf2onnx', "pip install '.[export]'"
  )


def test_an_untrained_graph(colours):
  """As TF-Slim's script wrote it, by its flags."""
  for flags, shape, classes in (
    ({}, [-1, 32, 32, 3], 1001),
    ({'labels_offset': 1, 'batch_size': 2}, [2, 32, 32, 3], 1000),
    (
      {'dataset_name': 'flowers', 'dataset_dir': colours, 'image_size': 40},
      [-1, 40, 40, 3],
      5,
    ),
    ({'use_grayscale': True, 'is_training': True}, [-1, 32, 32, 1], 1001),
  ):
    printed = builders.call(
      export_inference_graph,
      model_name='resnet_v1_tiny',
      output_file='deep/graph.pb',
      **flags,
    )
    assert printed.status == 0, printed.err
    graph_def = tf.GraphDef.FromString(
      pathlib.Path('deep/graph.pb').read_bytes()
    )
    with tf.Graph().as_default() as graph:
      tf.import_graph_def(graph_def, name='')
      found = graph.get_tensor_by_name('input:0').shape
      assert [-1 if side is None else side for side in found.as_list()] == shape
      predictions = 'resnet_v1_tiny/predictions/Softmax:0'
      logits = graph.get_tensor_by_name(predictions)
      assert logits.shape[-1] == classes
  printed = builders.call(
    export_inference_graph,
    '--write_text_graphdef',
    model_name='resnet_v1_tiny',
    output_file='graph.pbtxt',
  )
  assert printed.status == 0, printed.err
  assert pathlib.Path('graph.pbtxt').read_text().startswith('node {')


def test_nothing_to_export():
  builders.refused(
    builders.call(export_inference_graph),
    '--checkpoint_path is missing',
    '--output_file',
  )


def test_standalone_tells_what_is_missing(tmp_path):
  with pytest.raises(ValueError, match='holds no exported model'):
    standalone.Model(tmp_path)
  (tmp_path / 'model.json').write_text('{"format": "x"}')
  with pytest.raises(ValueError, match='does not describe an exported model'):
    standalone.Model(tmp_path)
