"""Grad-CAM: its values, what is drawn, and what is refused."""

import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

import classify_image
from engine.config.scripts import ClassifyConfig
from engine.tasks.classification import explanations
from nets import nets_factory
from preprocessing import preprocessing_factory
from tests import builders, golden


def built(name, size=64):
  """A thin network for three classes: images, logits, end points."""
  images = tf.placeholder(tf.float32, [None, size, size, 3])
  logits, end_points = nets_factory.get_network_fn(name, 3)(
    images, depth_multiplier=0.125
  )
  return images, logits, end_points


def filled(session):
  for variable in tf.global_variables():
    variable.load(golden.fill(variable.op.name, variable.shape), session)


def config(name, **given):
  return ClassifyConfig(
    model_name=name, explain=True, root_block='7x7', **given
  )


@pytest.mark.parametrize('name', ['resnet_v1_18', 'resnet_v2_18'])
def test_the_last_features(graph, name):
  """Each is weighted by its weight in the logit, as in a class activation map.

  The gradient of a mean is known: a share of the logit's weight.
  """
  images, logits, end_points = built(name)
  evidence, labels = explanations.add(
    config(name), 64, logits, end_points, label=2
  )
  last = end_points['global_pool'].op.inputs[0]
  weights = next(
    v for v in tf.global_variables() if v.op.name == f'{name}/logits/weights'
  )
  with tf.Session() as session:
    filled(session)
    found, chosen, features, kernel = session.run(
      [evidence, labels, last, weights], {images: golden.images(0, 2, 64, 64)}
    )
  assert chosen.tolist() == [2, 2]
  maps = np.maximum(features @ kernel[0, 0, :, 2] / 4, 0)  # of 2x2 positions
  assert maps.max() > 0
  np.testing.assert_allclose(found[:, ::32, ::32], maps, rtol=1e-4, atol=1e-6)


def test_features_of_a_stride(graph):
  """The weights are differences of the logit, for the likeliest class."""
  name = 'resnet_v1_18'
  images, logits, end_points = built(name)
  evidence, labels = explanations.add(
    config(name, explain_stride=16), 64, logits, end_points, None
  )
  inner = end_points[f'{name}/block3/unit_2/basic_v1']
  with tf.Session() as session:
    filled(session)
    given = golden.images(0, 1, 64, 64)
    found, (label,), features, scores = session.run(
      [evidence, labels, inner, logits], {images: given}
    )
    assert label == scores.argmax()
    channels = features.shape[-1]
    step = 1e-2 * features.std()
    moved = (
      features
      + step
      * np.eye(channels, dtype=np.float32)[:, None, None, :]
      * np.array([1, -1], np.float32)[:, None, None, None, None]
    )
    values = [session.run(logits, {inner: each})[:, label] for each in moved]
  slopes = (values[0] - values[1]) / (2 * step) / 16  # of 4x4 positions
  maps = np.maximum(features @ slopes, 0)
  assert maps.max() > 0
  np.testing.assert_allclose(found[:, ::16, ::16], maps, atol=0.02 * maps.max())


def test_places_between_features(graph):
  """Position i of a map is position i * stride of the image."""
  maps = np.zeros([1, 3, 3], np.float32)
  maps[0, 1, 2] = 4
  with tf.Session() as session:
    (found,) = session.run(explanations.enlarged(tf.constant(maps), 4, 9))
  assert found.shape == (9, 9)
  assert found[4, 8] == 4 and found[2, 8] == 2 and found[4, 7] == 3
  assert found[0].max() == 0 and found[:, :5].max() == 0


@pytest.mark.parametrize('name', preprocessing_factory.PREPROCESSING)
def test_what_the_network_sees(graph, name):
  """The image again, as the recipe has cut it, or stretched in brightness."""
  height, width = preprocessing_factory.unresized(name, 48, 48)
  image = builders.noise_image(0, height, width)
  pixels = tf.placeholder(tf.uint8, [None, None, 3])
  options = {}
  if preprocessing_factory.needs_mean(name):
    options['per_pixel_mean'] = np.full([48, 48, 3], 0.25, np.float32)
  prepared = preprocessing_factory.get_preprocessing(name, False)(
    pixels, 48, 48, **options
  )
  with tf.Session() as session:

    def prepare(each):
      return session.run(prepared, {pixels: each})

    shown = explanations.shower(prepare)(prepare(image))
  top, left = (height - 48) // 2, (width - 48) // 2
  cut = image[top : top + 48, left : left + 48].astype(int)
  assert shown.dtype == np.uint8
  if name == 'cifar':
    assert np.corrcoef(shown.ravel(), cut.ravel())[0, 1] > 0.99
  else:
    assert np.abs(shown - cut).max() <= 1


def test_channels_in_another_order():
  """As Caffe's networks take them, and one channel alone."""
  image = builders.noise_image(0, 32, 32)

  def turned(each):
    return each[..., ::-1].astype(np.float32) - [104, 117, 123]

  shown = explanations.shower(turned)(turned(image))
  np.testing.assert_array_equal(shown, image)

  def grey(each):
    return each.mean(-1, keepdims=True).astype(np.float32) / 255

  shown = explanations.shower(grey)(grey(image))
  assert shown.shape == (32, 32, 3)
  assert np.abs(shown - image.mean(-1, keepdims=True)).max() <= 1


def test_an_overlay():
  image = np.full([2, 2, 3], 100, np.uint8)
  found = explanations.overlay(image, np.array([[0, 0], [0, 3.0]]))
  assert (found[0, 0] == found[0, 1]).all()
  assert found[1, 1, 0] > found[1, 1, 2]  # red
  assert found[0, 0, 2] > found[0, 0, 1]  # dark violet
  np.testing.assert_array_equal(
    explanations.overlay(image, np.zeros([2, 2])), image
  )


# The script.


@pytest.fixture
def images(workplace):
  for folder in 'a', 'b':
    (workplace / folder).mkdir()
  for path, label in (('a/1.png', 0), ('a/2.png', 1), ('b/1.png', 2)):
    builders.colour_image(label, 7).save(path)
  return ['a/1.png', 'a/2.png', 'b/1.png']


def classify(run, *arguments, **flags):
  return builders.call(
    classify_image, *arguments, checkpoint_path=run.folder, **flags
  )


def said(printed):
  assert printed.status == 0, printed.err
  return [json.loads(line) for line in printed.out.splitlines()]


def test_a_file_for_each_image(colours_run, images):
  flags = {'json': True, 'explain_dir': 'out', 'explain_stride': 8}
  plain = said(classify(colours_run, *images, json=True))
  found = said(
    classify(colours_run, *images, '--explain', **flags, batch_size=2)
  )
  written = [each.pop('explanation') for each in found]
  assert written == [
    'out/1_explained.png',
    'out/2_explained.png',
    'out/1-2_explained.png',
  ]
  for ours, theirs in zip(found, plain, strict=True):
    assert ours['file'] == theirs['file']
    for one, other in zip(
      ours['predictions'], theirs['predictions'], strict=True
    ):
      assert one['name'] == other['name']
      assert one['probability'] == pytest.approx(other['probability'], abs=1e-6)
  assert {*os.listdir('out')} == {pathlib.Path(each).name for each in written}
  drawn = np.asarray(Image.open(written[0]))
  red = drawn[8:232, 8:232]  # the image itself, enlarged
  assert (red.mean((0, 1)) > [150, 0, 0]).all() and red.mean() < 150


def test_a_class_by_its_name(colours_run, images, monkeypatch):
  seen = []
  draw = explanations.draw
  monkeypatch.setattr(
    explanations,
    'draw',
    lambda path, explained, name, probability, source: (
      seen.append((explained.label, name, probability, source)),
      draw(path, explained, name, probability, source),
    ),
  )
  printed = classify(
    colours_run,
    images[0],
    '--explain',
    explain_class='grey',
    explain_dir='out',
    explain_stride=8,
  )
  assert printed.out.endswith('Explanations are in out.\n')
  ((label, name, probability, source),) = seen
  assert (label, name, source) == (3, 'grey', '1.png')
  lines = [line for line in printed.out.splitlines() if line.endswith('grey')]
  assert lines[0].split()[0] == f'{probability:.2%}'


@pytest.mark.parametrize(
  'flags, words',
  [
    (
      {'explain_class': 'gray'},
      ('--explain_class=gray', 'Did you mean grey?', 'red, green, blue'),
    ),
    ({'explain_stride': 5}, ('--explain_stride=5', '2, 8')),
    ({'explain_dir': 'a/1.png/out'}, ('--explain_dir',)),
    ({'eval_image_size': 8}, ('one for all', '--explain_stride=2')),
  ],
)
def test_what_is_refused(colours_run, images, flags, words):
  given = {'explain_dir': 'out', **flags}
  builders.refused(classify(colours_run, *images, '--explain', **given), *words)
  assert not os.path.exists('out')


def test_flags_that_need_it(colours_run, images):
  for flag, value in (
    ('explain_class', 'red'),
    ('explain_stride', 8),
    ('explain_dir', 'out'),
  ):
    builders.refused(
      classify(colours_run, *images, **{flag: value}),
      f'--{flag} says how to explain: pass --explain too.',
    )


@pytest.mark.slow
def test_masks(shapes_run, images):
  builders.refused(
    classify(shapes_run, *images, '--explain'),
    '--explain is for classification',
    'masks',
  )


def test_an_exported_model(images):
  printed = builders.call(
    classify_image, *images, '--explain', exported='export/tflite'
  )
  builders.refused(printed, '--explain needs gradients', '--checkpoint_path')
