"""What a network says of every pixel of a split, with any weights."""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
from tf_slim.data.dataset import Dataset

from engine import console, dense_model, forms, input_pipeline, model, task
from engine.config import EvalConfig
from engine.opened import Opened
from preprocessing import preprocessing_factory
from tasks import boundaries, segmentation

# What goes through the network at once: probabilities, and images.
_VALUES, _PICTURES = 1 << 24, 16
# What waits for images of the same size, at the most: images, and pixels.
_WAITING, _PIXELS = 32, 1 << 25
_LARGEST = 513  # side of the crops whose statistics are looked at
_FEWEST = 2  # images in a batch whose statistics are looked at


class Picture(NamedTuple):
  """How an image was labelled.

  Fields:
    record: its number.
    height: in pixels.
    width: in pixels.
    pixels: those that are not ignored.
    miou: the mean IoU of the classes that occur in it, or were predicted.
    pixel_accuracy: the share of the pixels that was predicted rightly.
    boundary_f1: see `boundaries.boundary_f1`; NaN if there is no boundary.
    loss: the mean cross-entropy of the pixels, in nats.
  """

  record: int
  height: int
  width: int
  pixels: int
  miou: float
  pixel_accuracy: float
  boundary_f1: float
  loss: float


class Segmented(NamedTuple):
  """What was found of the good images of a split.

  Fields:
    confusion: int64 [classes, classes]; [i, j] counts pixels of class i that
      were taken for j.
    examples: the number of images.
    images: the figures of each, by their records' numbers.
  """

  confusion: np.ndarray
  examples: int
  pictures: list[Picture]

  def metrics(self) -> dict[str, float | int]:
    """Returns the figures; see `segmentation.metrics`.

    The loss is the mean over all pixels, the boundary F1 that over the
    images that have boundaries; there are none without the images.
    """
    found = {'examples': self.examples}
    if not self.pictures:
      return {**found, **segmentation.metrics(self.confusion)}
    pixels = np.array([picture.pixels for picture in self.pictures])
    losses = np.array([picture.loss for picture in self.pictures])
    f1 = np.array([picture.boundary_f1 for picture in self.pictures])
    f1 = f1[~np.isnan(f1)]
    return {
      **found,
      **segmentation.metrics(
        self.confusion,
        boundary_f1=float(f1.mean()) if len(f1) else 0.0,
        loss=float((pixels * losses).sum() / max(pixels.sum(), 1)),
      ),
    }


class Segmenter(Opened):
  """A network and a split to run it on.

  Attributes:
    source: the examples.
    views: the number of views of each example that are averaged.
    compared_on: what `compare` looks at, if not at what `predict` does.
  """

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
      preprocessing_factory.get_segmentation_preprocessing(
        config.preprocessing_name, False, config.use_grayscale
      ),
      ignore_label=self._ignore,
    )
    seen = dense_model.views(config.scales, config.flip)
    self.views = len(seen)
    self._compared, self.compared_on = None, ''
    graph = tf.Graph()
    with graph.as_default():
      self.source = input_pipeline.open_source(
        config, dataset, self._preprocess, None
      )
      self._stream = self.source.evaluation(1)
      self._model = dense_model.DenseModel(
        config, num_classes, seen, self._ignore
      )
      self._pixels = tf.placeholder(tf.uint8, [None, None, 3])
      self._prepared, _ = self._preprocess(
        self._pixels, tf.zeros(tf.shape(self._pixels)[:2], tf.uint8), None, None
      )
    super().__init__(graph)

  def predict(
    self, max_batches: int | None = None, title: str = 'evaluating'
  ) -> Segmented:
    """Returns what the network says of every image, each once.

    Args:
      max_batches: the number of batches, if not all; `max_num_batches` of the
        configuration by default.
      title: in front of the progress bar.

    Raises:
      ValueError: a bad example, that may not be left out; or all pixels are
        ignored.
    """
    count, limit = (
      self.source.num_examples,
      (max_batches or self._config.max_num_batches),
    )
    if limit:
      count = min(count, limit * (self._config.batch_size or 1))
    confusion = np.zeros((self._classes, self._classes), np.int64)
    pictures = []
    with console.progress(count, unit='image') as bar:
      bar.set_description(title)
      for images, labels, records in self._groups(count):
        found = self._model.predict(self.session, images, labels)
        for each in zip(
          labels, found.classes, found.losses, records, strict=True
        ):
          own, picture = self._look(*each)
          confusion += own
          pictures.append(picture)
        bar.update(len(records))
    if not confusion.any():
      raise ValueError(
        f'All pixels of the masks of {self._dataset.name}, split '
        f'{self._dataset.split_name}, have the ignore label '
        f'{self._ignore}: nothing can be evaluated. Is that a class? See '
        '--ignore_label.'
      )
    return Segmented(confusion, len(pictures), sorted(pictures))

  def mask(self, image: np.ndarray) -> np.ndarray:
    """Returns what is predicted of an image, int32 [height, width].

    Args:
      image: uint8 [height, width, 3], as it was decoded.
    """
    prepared = self.session.run(self._prepared, {self._pixels: image})
    return self._model.predict(self.session, prepared[None]).classes[0]

  def _together(self, height, width):
    """Returns how many images of a size go through the network at once."""
    return self._config.batch_size or max(
      1, min(_PICTURES, _VALUES // (height * width * self._classes))
    )

  def _groups(self, count) -> Iterator[list[np.ndarray]]:
    """Yields images, labels and records, of images of one size each."""
    self._stream.seek(self.session, 0)
    waiting, most = {}, max(_WAITING, self._config.batch_size or 0)

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

    for _ in range(count):
      batch = self._stream.run(self.session, self._stream.batch)
      if batch.records[0] < 0:  # another stands in for a bad example
        continue
      size = batch.labels.shape[1:]
      waiting.setdefault(size, []).append(batch)
      if len(waiting[size]) == self._together(*size):
        yield take(size)
      elif is_full():
        yield take(max(waiting, key=lambda size: len(waiting[size])))
    for size in [*waiting]:
      yield take(size)

  def _look(self, labels, classes, loss, record):
    """Returns the confusion matrix and the figures of an image."""
    own = segmentation.confusion_matrix(
      labels, classes, self._classes, self._ignore
    )
    figures = segmentation.metrics(own)
    return own, Picture(
      int(record),
      *labels.shape,
      int(own.sum()),
      figures['miou'],
      figures['pixel_accuracy'],
      boundaries.boundary_f1(labels, classes, self._classes, self._ignore),
      float(loss),
    )

  def _build_comparison(self):
    """Returns crops, and what both kinds of batch norm say of them."""
    examples = self.source.examples
    shape = examples.example(examples.stand_in(0)).image.shape
    largest = (
      forms.size(self._config.eval_crop_size)
      if self._config.eval_crop_size
      else (_LARGEST, _LARGEST)
    )
    height, width = task.aligned(
      tuple(map(min, shape, largest)), self._config.output_stride
    )
    crops = input_pipeline.open_source(
      self._config, self._dataset, self._preprocess, (height, width), examples
    )
    together = min(
      max(_FEWEST, self._together(height, width)), crops.num_examples
    )
    self.compared_on = f', on crops of {height}x{width}'
    stream = crops.evaluation(together, shuffle=True)
    both = []
    for by_batch in (False, True):
      logits, _ = model.build(
        self._config, stream.batch.images, self._classes, by_batch, reuse=True
      )
      both.append(
        tf.argmax(
          segmentation.resize_logits(logits, height, width),
          -1,
          output_type=tf.int32,
        )
      )
    return stream, together, both

  def compare(self, examples: int) -> tuple[Segmented, Segmented]:
    """Returns what is said of crops of some images, in a shuffled order.

    Args:
      examples: how many, rounded up to whole batches.

    Returns:
      First by the moving averages of batch norm, then by the statistics of
      each batch; without the figures of each image, and so without a loss.
    """
    if self._compared is None:
      with self.graph.as_default():
        self._compared = self._build_comparison()
    stream, size, both = self._compared
    stream.seek(self.session, 0)
    total = [np.zeros((self._classes, self._classes), np.int64) for _ in both]
    seen = 0
    for _ in range(min(-(-examples // size), self.source.num_examples // size)):
      classes, labels, records = stream.run(
        self.session, (both, stream.batch.labels, stream.batch.records)
      )
      good = records >= 0
      seen += int(good.sum())
      for confusion, each in zip(total, classes, strict=True):
        confusion += segmentation.confusion_matrix(
          labels[good], each[good], self._classes, self._ignore
        )
    return tuple(Segmented(confusion, seen, []) for confusion in total)
