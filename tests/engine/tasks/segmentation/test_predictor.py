"""Every pixel of a split, once, against the same network run plainly."""

import numpy as np
import pytest

from engine.config import scripts
from engine.resolve.evaluation import evaluation
from engine.tasks.segmentation import predictor
from metrics import segmentation
from tests import builders

pytestmark = pytest.mark.usefixtures('workplace')


@pytest.fixture
def segment(shapes_run):
  """segment(**flags): a segmenter with the weights of the run."""
  opened = []

  def build(**flags):
    given = evaluation(
      scripts.EvalConfig(checkpoint_path=str(shapes_run.folder), **flags)
    )
    opened.append(predictor.DensePredictor(given.config, given.dataset, 3))
    opened[-1].restore(given.checkpoint)
    return opened[-1]

  yield build
  for each in opened:
    each.close()


def _plainly(opened):
  """The confusion matrix by one mask after the other."""
  total = np.zeros((3, 3), int)
  for seed in builders.SHAPE_VAL:
    image, mask = builders.shape(seed)
    found = opened.mask(image)
    assert found.shape == mask.shape
    for true, guess in zip(mask.ravel(), found.ravel(), strict=True):
      if true != builders.IGNORED:
        total[true, guess] += 1
  return total


@pytest.mark.parametrize('batch_size', [None, 1, 3])
def test_every_image_once_on_each_call(segment, batch_size):
  opened = segment(batch_size=batch_size)
  want = _plainly(opened)
  for _ in range(2):
    found = opened.predict()
    np.testing.assert_array_equal(found.confusion, want)
    assert [each.record for each in found.images] == list(range(7))
  for each, seed in zip(found.images, builders.SHAPE_VAL, strict=True):
    _, mask = builders.shape(seed)
    assert (each.height, each.width) == mask.shape
    assert each.pixels == (mask != builders.IGNORED).sum()
  metrics = found.metrics()
  assert metrics['examples'] == 7
  assert metrics['miou'] == segmentation.metrics(want)['miou']
  pixels = np.array([each.pixels for each in found.images])
  losses = np.array([each.loss for each in found.images])
  assert metrics['loss'] == pytest.approx(
    (pixels * losses).sum() / pixels.sum()
  )


def test_some_images(segment):
  assert len(segment(batch_size=2).predict(2).images) == 4
  assert len(segment(max_num_batches=3).predict().images) == 3


def test_both_statistics_of_batch_norm(segment):
  by_moving, by_batch = segment().compare(100)
  for each in (by_moving, by_batch):
    assert 0 < each.confusion.sum() <= 7 * 33 * 33
  # One pass of the network: the same pixels count.
  np.testing.assert_array_equal(
    by_moving.confusion.sum(1), by_batch.confusion.sum(1)
  )
