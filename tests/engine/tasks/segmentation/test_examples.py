"""Crops for training and whole images for evaluation, with their masks."""

import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets.images import overlays
from engine.config.scripts import EvalConfig, TrainConfig
from engine.resolve.evaluation import evaluation
from engine.resolve.training import training
from engine.tasks.segmentation import examples, predictor
from engine.tasks.segmentation.task import Segmentation
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')


def _palette(mask):
  image = Image.fromarray(np.asarray(mask), 'P')
  image.putpalette(overlays.palette(256).tobytes())
  return image


@pytest.mark.parametrize(
  'change, words',
  [
    (lambda mask: mask.resize((9, 8)), ('mask of 9x8',)),
    (
      lambda mask: Image.fromarray(np.asarray(mask) + np.uint8(3)),
      ('the values 3, 4, 5 in its mask',),
    ),
    (_palette, ('palette', 'mask_folder')),
    (lambda mask: mask.convert('RGB'), ('mask_folder',)),
    (lambda mask: mask.convert('1'), ()),
  ],
  ids=['size', 'values', 'palette', 'rgb', 'bits'],
)
def test_bad_masks(graph, change, words):
  folder = builders.write_broken_shapes('broken', change)
  config, dataset = training(
    TrainConfig(
      **builders.shape_flags(folder, batch_size=12, train_crop_size=(33, 33))
    )
  )
  stream = examples.open_training(config, dataset).training(12, 0, 0)
  with tf.Session() as session:
    session.run(stream.initializer)
    with pytest.raises(ValueError) as error:
      stream.run(session, stream.batch)
  for word in ('record 5 of', *words, '--skip_bad_examples=1'):
    assert word in str(error.value)
  assert '\n' not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize('label', [-1, 0])
def test_another_ignore_label(graph, label, shapes_run):
  """In the padding, in the images for TensorBoard, in the evaluation."""
  folder = builders.write_shapes(pathlib.Path('data'), ignored=0)
  flags = {'dataset_dir': folder, 'ignore_label': label}
  config, dataset = training(
    TrainConfig(
      **builders.shape_flags(folder, train_crop_size=(49, 49)),
      ignore_label=label,
    )
  )
  stream = examples.open_training(config, dataset).training(4, 0, 0)
  task = Segmentation()
  task.summarize(config, stream.batch, tf.zeros([4, 49, 49, 3]))
  summaries = tf.summary.merge_all()
  with tf.Session() as session:
    session.run(stream.initializer)
    labels, found = stream.run(session, [stream.batch.labels, summaries])
  padded = labels[:, -1, -1]  # an image has at most 32x32 pixels, times 1.5
  assert set(labels.ravel()) <= {label, 0, 1, 2} and (padded == label).all()
  values = tf.Summary.FromString(found).value
  assert sorted({value.tag.split('/')[0] for value in values}) == [
    'masks',
    'predicted',
  ]

  given = evaluation(
    EvalConfig(checkpoint_path=str(shapes_run.folder), **flags)
  )
  opened = predictor.DensePredictor(given.config, given.dataset, 3)
  opened.restore(given.checkpoint)
  counted = 0
  for seed in builders.SHAPE_VAL:
    _, mask = builders.shape(seed)
    mask[mask == builders.IGNORED] = 0
    counted += (mask != label).sum()
  assert sum(each.pixels for each in opened.predict().images) == counted
  opened.close()
