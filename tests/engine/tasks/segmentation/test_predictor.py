"""Every pixel of a split, once, against the same network run plainly."""

import tracemalloc

import numpy as np
import pytest

from engine.config import scripts, tasks
from engine.resolve.evaluation import evaluation
from engine.tasks.segmentation import predictor
from metrics import boundaries, calibration, segmentation
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


def _errors(opened):
  """The calibration errors of all pixels, and of those of each class."""
  seen = []
  for seed in builders.SHAPE_VAL:
    image, mask = builders.shape(seed)
    prepared = opened.session.run(opened._prepared, {opened._pixels: image})
    found = opened._model.predict(
      opened.session, prepared[None], mask[None].astype(np.int32)
    )
    counts = mask != builders.IGNORED
    classes, sure = found.classes[0][counts], found.confidences[0][counts]
    seen.append([classes, sure, classes == mask[counts]])
  classes, sure, hits = map(np.concatenate, zip(*seen, strict=True))
  number = np.ceil(sure.astype(float) * 15).clip(1)

  def error(which):
    gaps = [
      abs((hits[at] - sure[at].astype(float)).sum())
      for at in (which & (number == m) for m in range(1, 16))
    ]
    return sum(gaps) / which.sum() if which.any() else np.nan

  return error(classes >= 0), [error(classes == i) for i in range(3)]


@pytest.mark.parametrize(
  'flags',
  [
    {},
    {'batch_size': 2},
    {'flip': True, 'scales': '0.5,1', 'eval_crop_size': '17,25'},
  ],
)
def test_boundaries_and_calibration(segment, flags):
  opened = segment(**flags)
  found = opened.predict()
  overlap = 0
  for image, seed in zip(found.images, builders.SHAPE_VAL, strict=True):
    pixels, mask = builders.shape(seed)
    own = boundaries.boundary_overlap(mask, opened.mask(pixels), 3)
    overlap = overlap + own
    assert image.mean_boundary_iou == pytest.approx(
      np.nanmean(boundaries.boundary_iou(own))
    )
  np.testing.assert_array_equal(found.overlap, overlap)
  metrics = found.metrics()
  assert tasks.TASKS['segmentation'].metrics.keys() <= metrics.keys()
  assert metrics['mean_boundary_iou'] == pytest.approx(
    np.nanmean(overlap[0] / np.maximum(overlap[1], 1))
  )
  error, errors = _errors(opened)
  assert metrics['expected_calibration_error'] == pytest.approx(error, abs=1e-6)
  np.testing.assert_allclose(
    calibration.class_errors(found.tallied), errors, atol=1e-6
  )


def test_no_boundaries():
  """One class, in a frame of ignored pixels: 0, and a line without a value."""
  labels = np.full((20, 20), 255)
  labels[5:15, 5:15] = 0
  found = predictor.gathered(
    [predictor.measure(labels, 0 * labels, None, None, 0, 2, 255)], None, 2, 255
  )
  metrics = found.metrics()
  assert metrics['mean_boundary_iou'] == metrics['boundary_f1'] == 0
  assert np.isnan(found.images[0].mean_boundary_iou)


def test_memory_is_that_of_a_few_numbers_an_image():
  """Whatever the pixels: what is measured of an image is all that stays."""

  def peak(images, side):
    random = np.random.RandomState(0)

    def measured():
      for record in range(images):
        labels, classes = random.randint(0, 4, (2, side, side))
        shares = random.rand(side, side)
        yield predictor.measure(labels, classes, 1.0, shares, record, 4, 255)

    tracemalloc.start()
    try:
      found = predictor.gathered(measured(), None, 4, 255)
      kept, most = tracemalloc.get_traced_memory()
    finally:
      tracemalloc.stop()
    assert found.confusion.sum() == images * side**2
    assert kept < 1000 * images + 20_000
    return most

  one = peak(1, 80)
  assert one > 50_000  # the pixels of an image
  assert peak(60, 80) < one + 60_000


def test_some_images(segment):
  assert len(segment(batch_size=2, max_num_batches=2).predict().images) == 4
  assert len(segment(max_num_batches=3).predict().images) == 3


@pytest.mark.slow
def test_both_statistics_of_batch_norm(segment):
  by_moving, by_batch = segment().compare(100)
  for each in (by_moving, by_batch):
    assert 0 < each.confusion.sum() <= 7 * 33 * 33
  # One pass of the network: the same pixels count.
  np.testing.assert_array_equal(
    by_moving.confusion.sum(1), by_batch.confusion.sum(1)
  )
