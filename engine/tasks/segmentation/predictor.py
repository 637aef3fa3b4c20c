"""What a network says of every pixel of a split, with any weights."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from engine.config.scripts import EvalConfig
from engine.input.pipeline import Stream
from engine.model.build import build_dense
from engine.replicas import workers
from engine.tasks.base import Said
from engine.tasks.predictor import SplitPredictor
from engine.tasks.segmentation import dense_model, examples, sizes
from metrics import boundaries, calibration, classification, segmentation

# What waits for images of the same size, at the most: images, and pixels.
_WAITING, _PIXELS = 32, 1 << 25
_LARGEST = 513  # side of the crops whose statistics are looked at
_FEWEST = 2  # images in a batch whose statistics are looked at


class ImageMetrics(NamedTuple):
  """How well the mask of an image is predicted.

  Fields:
    record: the number of its record.
    height: in pixels.
    width: in pixels.
    pixels: those that are not ignored.
    miou: the mean IoU of the classes that occur in it, or were predicted.
    pixel_accuracy: the share of the pixels that was predicted rightly.
    boundary_f1: see `boundaries.boundary_f1`; NaN if there is no boundary.
    loss: the mean cross-entropy of the pixels, in nats; None if it is unknown.
    mean_boundary_iou: the mean of `boundaries.boundary_iou` over the classes;
      NaN if no pixel is near a boundary.
  """

  record: int
  height: int
  width: int
  pixels: int
  miou: float
  pixel_accuracy: float
  boundary_f1: float
  loss: float | None
  mean_boundary_iou: float


class DensePredictions(NamedTuple):
  """What was found of the good images of a split.

  Fields:
    confusion: int64 [classes, classes]; [i, j] counts pixels of class i that
      were taken for j.
    examples: the number of images.
    images: the metrics of each, by their records' numbers.
    overlap: see `boundaries.boundary_overlap`; None without the images.
    tallied: see `calibration.tally`, by the predicted classes; None if
      probabilities are unknown.
  """

  confusion: np.ndarray
  examples: int
  images: list[ImageMetrics]
  overlap: np.ndarray | None = None
  tallied: np.ndarray | None = None

  def metrics(self) -> dict[str, float | int]:
    """Returns the metrics; see `segmentation.metrics`.

    The loss and the calibration error are means over all pixels, if they are
    known, the boundary IoU one over the classes, the boundary F1 one over the
    images that have boundaries; there are none without the images.
    """
    found = {'examples': self.examples}
    if self.overlap is None:
      return {**found, **segmentation.metrics(self.confusion)}
    f1 = np.array([image.boundary_f1 for image in self.images])
    f1 = f1[~np.isnan(f1)]
    near = self.overlap.any()
    others = {
      'boundary_f1': float(f1.mean()) if len(f1) else 0.0,
      'mean_boundary_iou': _mean_boundary_iou(self.overlap) if near else 0.0,
    }
    losses = [image.loss for image in self.images]
    if None not in losses:
      pixels = np.array([image.pixels for image in self.images])
      total = (pixels * np.array(losses)).sum()
      others['loss'] = float(total / max(pixels.sum(), 1))
    if self.tallied is not None:
      others['expected_calibration_error'] = calibration.error(self.tallied)
    return {**found, **segmentation.metrics(self.confusion, **others)}


def _mean_boundary_iou(overlap):
  return segmentation.mean_of_known(boundaries.boundary_iou(overlap))


class Measured(NamedTuple):
  """What is measured of one image; see `DensePredictions`.

  Fields:
    confusion: its confusion matrix.
    overlap: of the pixels near boundaries.
    tallied: its pixels by their probabilities; None if those are unknown.
    metrics: those of the image.
  """

  confusion: np.ndarray
  overlap: np.ndarray
  tallied: np.ndarray | None
  metrics: ImageMetrics


def measure(
  labels: np.ndarray,
  classes: np.ndarray,
  loss: float | None,
  confidences: np.ndarray | None,
  record: int,
  num_classes: int,
  ignore_label: int,
) -> Measured:
  """Returns what is measured of an image.

  Args:
    labels: int [height, width].
    classes: those that are predicted, int [height, width].
    loss: its mean cross-entropy, None if it is unknown.
    confidences: float [height, width], the probabilities of `classes`; None if
      they are unknown.
    record: the number of its record.
    num_classes: the number of classes.
    ignore_label: of labels; -1 for none.
  """
  of = labels, classes, num_classes, ignore_label
  confusion = segmentation.confusion_matrix(*of)
  overlap = boundaries.boundary_overlap(*of)
  metrics, (height, width) = segmentation.metrics(confusion), labels.shape
  tallied, counts = None, labels != ignore_label
  if confidences is not None:
    tallied = calibration.tally(
      confidences[counts],
      (labels == classes)[counts],
      classes[counts],
      num_classes,
    )
  return Measured(
    confusion,
    overlap,
    tallied,
    ImageMetrics(
      int(record),
      height,
      width,
      int(confusion.sum()),
      metrics['miou'],
      metrics['pixel_accuracy'],
      boundaries.boundary_f1(*of),
      loss if loss is None else float(loss),
      _mean_boundary_iou(overlap),
    ),
  )


def measured(said: Said, num_classes: int, ignore_label: int) -> Measured:
  """Returns what `measure` does, of an image that an exported model saw."""
  labels, logits = said.label.astype(np.int32), said.outputs.get('logits')
  classes, loss, confidences = said.outputs['classes'], None, None
  if logits is not None:
    counts = labels != ignore_label
    losses = classification.cross_entropies(logits[counts], labels[counts])
    loss = float(losses.sum() / max(len(losses), 1))
    confidences = classification.probabilities(
      logits.reshape(-1, num_classes), classes.ravel()
    ).reshape(classes.shape)
  return measure(
    labels, classes, loss, confidences, said.source, num_classes, ignore_label
  )


def gathered(
  found: Iterable[Measured],
  dataset: Dataset,
  num_classes: int,
  ignore_label: int,
) -> DensePredictions:
  """Returns what was found of all images.

  Args:
    found: of each image, in any order.
    dataset: the split.
    num_classes: the number of classes.
    ignore_label: of labels; -1 for none.

  Raises:
    ValueError: all pixels are ignored.
  """
  confusion = np.zeros((num_classes, num_classes), np.int64)
  overlap = np.zeros((2, num_classes), np.int64)
  tallied, images = np.zeros((3, num_classes, calibration.BINS)), []
  for each in found:
    confusion += each.confusion
    overlap += each.overlap
    if each.tallied is not None:
      tallied += each.tallied
    images.append(each.metrics)
  confusion, overlap, tallied, images = _of_all_workers(
    confusion, overlap, tallied, images
  )
  if not confusion.any():
    raise ValueError(
      f'All pixels of the masks of {dataset.name}, split '
      f'{dataset.split_name}, have the ignore label {ignore_label}: nothing '
      'can be evaluated. Is that a class? See --ignore_label.'
    )
  known = tallied if tallied.any() else None
  return DensePredictions(
    confusion, len(images), sorted(images), overlap, known
  )


def _image_metrics(row):
  """Returns the metrics that a row of an array holds."""
  kinds: Mapping[str, Any] = ImageMetrics.__annotations__
  values: dict[str, Any] = {
    name: int(value) if kinds[name] is int else float(value)
    for name, value in zip(kinds, row, strict=True)
  }
  return ImageMetrics(**values)


def _of_all_workers(confusion, overlap, tallied, images):
  """Returns the sums of what all workers found, and the images of all."""
  together = workers.current()
  if together.count == 1:
    return confusion, overlap, tallied, images
  rows = np.array(images, np.float64).reshape(len(images), -1)
  found = together.gather(
    {'confusion': confusion, 'overlap': overlap, 'tallied': tallied}
    | ({'images': rows} if images else {})
  )
  images = [
    _image_metrics(row) for each in found for row in each.get('images', ())
  ]
  sums = [
    sum(each[name] for each in found)
    for name in ('confusion', 'overlap', 'tallied')
  ]
  return *sums, images


class DensePredictor(SplitPredictor):
  """A network and a split of masks to run it on; see `SplitPredictor`."""

  def __init__(self, config: EvalConfig, dataset: Dataset, num_classes: int):
    """Builds the network and opens the split.

    Args:
      config: a complete configuration.
      dataset: the split.
      num_classes: the number of classes.

    Raises:
      ValueError: an unknown name, or data that cannot be read.
    """
    self._config, self._dataset, self._classes = config, dataset, num_classes
    self._ignore = config.ignore_label
    self._preprocess = functools.partial(
      examples.for_evaluation(config), ignore_label=self._ignore
    )
    views = dense_model.views(config.scales, config.flip)
    self.views = len(views)
    self._compared: tuple[Stream, int, list[tf.Tensor]] | None = None
    graph = tf.Graph()
    with graph.as_default():
      self.source = examples.open_examples(
        config, dataset, self._preprocess, None
      )
      limit = config.max_num_batches
      self._stream, self._images = self._split(
        1, limit and limit * (config.batch_size or 1)
      )
      self._model = dense_model.DenseModel(
        config, num_classes, views, self._ignore
      )
      self._pixels = tf.placeholder(tf.uint8, [None, None, 3])
      self._prepared = examples.prepared(config, self._pixels)
    super().__init__(config, graph)

  def predict(self, title: str = 'evaluating') -> DensePredictions:
    """Returns what the network says of every image; see `SplitPredictor`.

    Raises:
      ValueError: a bad example, that may not be left out; or all pixels are
        ignored.
    """

    def found():
      for images, labels, records in self._groups(self._images, title):
        classes, losses, confidences = self._model.predict(
          self.session, images, labels
        )
        assert losses is not None and confidences is not None  # of labels
        for each in zip(
          labels, classes, losses, confidences, records, strict=True
        ):
          yield measure(*each, self._classes, self._ignore)

    return gathered(found(), self._dataset, self._classes, self._ignore)

  def mask(self, image: np.ndarray) -> np.ndarray:
    """Returns what is predicted of an image, int32 [height, width].

    Args:
      image: uint8 [height, width, 3], as it was decoded.
    """
    prepared = self.session.run(self._prepared, {self._pixels: image})
    classes = self._model.predict(self.session, prepared[None]).classes[0]
    return dense_model.at_size(classes, image.shape[:2])

  def _groups(self, count: int, title: str) -> Iterator[list[np.ndarray]]:
    """Yields images, labels and records, of images of one size each."""
    # By height and width: images, labels and records of each.
    waiting: dict[tuple[int, ...], list[list[np.ndarray]]] = {}
    most = max(_WAITING, self._config.batch_size or 0)

    def is_full():
      count = sum(map(len, waiting.values()))
      pixels = sum(
        len(group) * height * width
        for (height, width), group in waiting.items()
      )
      return count >= most or pixels >= _PIXELS

    def take(size):
      return [
        np.concatenate(each) for each in zip(*waiting.pop(size), strict=True)
      ]

    def read():
      return self._stream.run(self.session, self._stream.batch)

    for batch in self._passes(self._stream, read, count, title, 'image'):
      images, labels, records = batch
      if not len(records):  # another stands in for a bad example
        continue
      size = labels.shape[1:]
      waiting.setdefault(size, []).append(batch)
      if len(waiting[size]) == self._model.together(*size):
        yield take(size)
      elif is_full():
        yield take(max(waiting, key=lambda size: len(waiting[size])))
    for size in [*waiting]:
      yield take(size)

  def compare(self, examples: int) -> tuple[DensePredictions, DensePredictions]:
    """Returns what both kinds of batch norm say; see `SplitPredictor`.

    It is said of crops, without the metrics of each image, and so without a
    loss.
    """
    if self._compared is None:
      with self.graph.as_default():
        self._compared = self._build_comparison(examples)
    stream, batches, both = self._compared
    total = [np.zeros((self._classes, self._classes), np.int64) for _ in both]
    seen = 0
    for *classes, labels, records in self._passes(
      stream,
      lambda: stream.run(self.session, [*both, *stream.batch[1:]]),
      batches,
      'comparing',
    ):
      seen += len(records)
      for confusion, each in zip(total, classes, strict=True):
        confusion += segmentation.confusion_matrix(
          labels, each, self._classes, self._ignore
        )
    if (together := workers.current()).count > 1:
      found = together.gather(
        {'total': np.array(total), 'seen': np.int64(seen)}
      )
      total = list(np.sum([each['total'] for each in found], 0))
      seen = int(sum(each['seen'] for each in found))
    by_moving, by_batch = [
      DensePredictions(confusion, seen, []) for confusion in total
    ]
    return by_moving, by_batch

  def _build_comparison(
    self, wanted: int
  ) -> tuple[Stream, int, list[tf.Tensor]]:
    """Returns shuffled crops, and what both kinds of batch norm say of them."""
    records = self.source.examples
    example = records.example(records.stand_in(0))
    assert example is not None  # what stands in is good
    shape = example.image.shape
    largest = self._config.eval_crop_size or (_LARGEST, _LARGEST)
    height, width = sizes.aligned(
      tuple(map(min, shape, largest)), self._config.output_stride
    )
    crops = examples.open_examples(
      self._config, self._dataset, self._preprocess, (height, width), records
    )
    together = min(
      max(_FEWEST, self._model.together(height, width)), crops.num_examples
    )
    self.compared_on = f', on crops of {height}x{width}'
    whole = min(-(-wanted // together), crops.num_examples // together)
    stream, batches = self._split(
      together, whole * together, shuffle=True, source=crops
    )
    both = []
    for by_batch in (False, True):
      logits, _ = build_dense(
        self._config, stream.batch.images, self._classes, by_batch, reuse=True
      )
      logits = segmentation.resize_logits(logits, height, width)
      both.append(tf.argmax(logits, -1, output_type=tf.int32))
    return stream, batches, both
