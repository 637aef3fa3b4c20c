"""python -m nets.extract: images in, an array of features out."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

import classify_image
import engine.extract
from engine.common import arrays
from nets import extract
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')


def run(trained, *arguments, **flags):
  return builders.call(
    extract,
    *map(str, arguments),
    **{'checkpoint_path': trained.folder, 'output_file': 'out.npz', **flags},
  )


@pytest.fixture
def images(workplace):
  """A folder with five images, one of them deeper inside; their names."""
  folder = workplace / 'images'
  (folder / 'deeper').mkdir(parents=True)
  for label, name in enumerate(builders.COLOURS):
    inside = folder / 'deeper' if name == 'white' else folder
    builders.colour_image(label, 5000 + label).save(inside / f'{name}.png')
  names = ('blue', 'deeper/white', 'green', 'grey', 'red')
  return [f'images/{name}.png' for name in names]


def softmax(logits):
  shares = np.exp(logits - logits.max(-1, keepdims=True))
  return shares / shares.sum(-1, keepdims=True)


def probabilities(trained, paths):
  """What classify_image.py says of them, in the order of the classes."""
  printed = builders.call(
    classify_image, *paths, checkpoint_path=trained.folder, json=True
  )
  rows = []
  for line in printed.out.splitlines():
    said = {
      each['name']: each['probability']
      for each in json.loads(line)['predictions']
    }
    rows.append([said[name] for name in builders.COLOURS])
  return np.array(rows)


def test_averaged_features(colours_run, images):
  """They are those that the classes are told by."""
  printed = run(colours_run, 'images', batch_size=2)
  assert printed.status == 0 and printed.err == ''
  found = np.load('out.npz')
  features = found['features']
  assert found['files'].tolist() == images
  assert features.dtype == np.float32
  assert printed.out == (
    'out.npz: averaged features of 5 images, float32 '
    f'[5, {features.shape[1]}].\n'
  )
  about = json.loads(str(found['about']))
  assert about.pop('checkpoint').startswith(str(colours_run.folder))
  assert about == {
    'features': 'averaged features',
    'model_name': 'resnet_v1_tiny',
    'preprocessing_name': 'digits',
    'image_size': 32,
  }
  values = builders.tensors(str(colours_run.folder))
  weights = values['resnet_v1_tiny/logits/weights'][0, 0]
  logits = features @ weights + values['resnet_v1_tiny/logits/biases']
  np.testing.assert_allclose(
    softmax(logits), probabilities(colours_run, images), atol=1e-5
  )


def test_features_of_a_stride(colours_run, images):
  run(colours_run, 'images')
  averaged = np.load('out.npz')['features']
  printed = run(colours_run, *images, stride=8, output_file='maps.npz')
  assert printed.status == 0, printed.err
  found = np.load('maps.npz')
  assert found['files'].tolist() == images
  assert found['features'].shape == (5, 4, 4, averaged.shape[1])
  np.testing.assert_allclose(
    found['features'].mean((1, 2)), averaged, rtol=1e-5, atol=1e-6
  )


def test_a_stride_has_the_epsilon_of_the_run(colours_run, images):
  """And is the mean of the default features, which have it too."""
  for name in ('a', 'b'):
    shutil.copytree(colours_run.folder, name)
  config = pathlib.Path('b/config.json')
  told = json.loads(config.read_text())
  config.write_text(json.dumps({**told, 'batch_norm_epsilon': 0.5}))
  found = {}
  for name in ('a', 'b'):
    for given in ({}, {'stride': 8}):
      printed = builders.call(
        extract, *images, checkpoint_path=name, output_file='found.npz', **given
      )
      assert printed.status == 0, printed.err
      features = np.load('found.npz')['features']
      found[name, bool(given)] = features.mean((1, 2)) if given else features
    np.testing.assert_allclose(
      found[name, True], found[name, False], rtol=1e-5, atol=1e-6
    )
  assert np.abs(found['a', True] - found['b', True]).max() > 1e-2


def test_a_file_of_something_else_is_not_replaced(colours_run, images):
  pathlib.Path('notes.json').write_text('{"mine": 1}')
  printed = run(colours_run, *images, output_file='notes.npy')
  builders.refused(printed, 'notes.json, which is something else')
  assert pathlib.Path('notes.json').read_text() == '{"mine": 1}'


def test_an_end_point(colours_run, images):
  printed = run(colours_run, *images, end_point='resnet_v1_tiny/logits')
  assert printed.out.startswith('out.npz: the end point resnet_v1_tiny/logits')
  logits = np.load('out.npz')['features'][:, 0, 0]
  np.testing.assert_allclose(
    softmax(logits), probabilities(colours_run, images), atol=1e-6
  )


def test_an_array_to_map(colours_run, images):
  """Its bits are those of the other format, its names lie beside it."""
  run(colours_run, 'images', batch_size=2)
  printed = run(colours_run, 'images', batch_size=2, output_file='out.npy')
  assert printed.status == 0, printed.err
  mapped = np.load('out.npy', mmap_mode='r')
  np.testing.assert_array_equal(mapped, np.load('out.npz')['features'])
  beside = json.loads(pathlib.Path('out.json').read_text())
  assert beside['files'] == images and beside['image_size'] == 32
  assert {*os.listdir()} == {'images', 'out.npy', 'out.npz', 'out.json'}


@pytest.mark.parametrize('name', ['out.npz', 'out.npy'])
def test_files_that_are_no_images(colours_run, images, name):
  pathlib.Path(images[1]).write_bytes(b'just text')
  printed = run(
    colours_run, 'images', 'gone.png', batch_size=2, output_file=name
  )
  assert printed.status == 1
  assert printed.err.splitlines() == [
    f'error: {images[1]} is no image, or is damaged.',
    'error: There is no file or folder gone.png.',
    'error: 2 of 6 files could not be read: see above.',
  ]
  found = np.load(name)
  features = found if name == 'out.npy' else found['features']
  named = (
    json.loads(pathlib.Path('out.json').read_text())['files']
    if name == 'out.npy'
    else found['files'].tolist()
  )
  assert named == [images[0], *images[2:]]
  assert len(features) == 4


@pytest.mark.parametrize('name', ['out.npz', 'out.npy'])
def test_nothing_is_written_of_no_images(colours_run, workplace, name):
  (workplace / 'a.png').write_bytes(b'just text')
  printed = run(colours_run, 'a.png', output_file=name)
  assert printed.status == 1
  assert '1 of 1 files could not be read' in printed.err
  assert os.listdir() == ['a.png']


def test_an_interruption_leaves_what_was_there(
  colours_run, images, monkeypatch
):
  run(colours_run, 'images', batch_size=2, output_file='out.npy')
  before = {name: pathlib.Path(name).read_bytes() for name in os.listdir()[1:]}
  append, calls = arrays.RowWriter.append, []

  def interrupted(rows, batch):
    calls.append(batch)
    if len(calls) == 2:
      raise KeyboardInterrupt
    append(rows, batch)

  monkeypatch.setattr(arrays.RowWriter, 'append', interrupted)
  printed = run(
    colours_run, 'images', batch_size=2, stride=8, output_file='out.npy'
  )
  assert printed.status == 130 and len(calls) == 2
  files = {'images', 'out.npy', 'out.json'}
  assert {*os.listdir()} == files
  for name, data in before.items():
    if name != 'images':
      assert pathlib.Path(name).read_bytes() == data


def test_beside_the_checkpoint_by_default(workplace, images):
  """Of a checkpoint without a run, too."""
  released = builders.write_released(
    workplace / 'there' / 'resnet.ckpt', 'resnet_v2_tiny', 1001
  )
  printed = builders.call(
    extract,
    *images[:2],
    checkpoint_path=released,
    model_name='resnet_v2_tiny',
    eval_image_size=32,
  )
  assert printed.status == 0, printed.err
  found = np.load('there/features.npz')
  assert len(found['features']) == 2 and found['features'].min() >= 0


@pytest.mark.parametrize(
  'flags, words',
  [
    ({'stride': 8, 'end_point': 'a/b'}, ('--stride=8', '--end_point=a/b')),
    ({'output_file': 'out.csv'}, ('--output_file=out.csv', '.npz or .npy')),
    ({'output_file': 'gs://a/b.npz'}, ('is an address',)),
    ({'stride': 64}, ('resnet_v1_tiny', '--stride=64', '2, 8')),
    (
      {'end_point': 'resnet_v1_tiny/block9'},
      ('no such end point', 'resnet_v1_tiny/block1'),
    ),
    ({'output_file': 'images/red.png/out.npz'}, ('--output_file',)),
    ({'model_name': 'resnet_v2_tiny'}, ('contradicts the run',)),
  ],
)
def test_what_is_refused(colours_run, images, flags, words):
  builders.refused(run(colours_run, *images, **flags), *words)
  assert os.listdir() == ['images']


def test_no_images(colours_run):
  builders.refused(
    run(colours_run), 'Name images', 'python -m nets.extract --checkpoint_path'
  )


def test_no_checkpoint(images):
  builders.refused(builders.call(extract, *images), '--checkpoint_path')


def test_too_large_for_memory(colours_run, images, monkeypatch):
  monkeypatch.setattr(engine.extract, 'MOST_BYTES', 100)
  builders.refused(
    run(colours_run, *images), '5 images', '--output_file=out.npy'
  )
  assert run(colours_run, *images, output_file='out.npy').status == 0


def test_a_run_of_masks(shapes_run, images):
  builders.refused(run(shapes_run, *images), 'is of masks', 'classification')


def test_importing_the_command_imports_nothing():
  """The library is installed without the engine."""
  code = 'import sys, nets.extract; print("engine" in str([*sys.modules]))'
  result = subprocess.run(
    [sys.executable, '-c', code],
    cwd=pathlib.Path(__file__).parents[1],
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.stdout == 'False\n', result.stderr


def test_a_library_without_the_engine(monkeypatch, workplace):
  monkeypatch.setattr(extract, '_ROOT', workplace)
  printed = builders.call(extract, 'a.png')
  builders.refused(printed, 'run it in a checkout')
