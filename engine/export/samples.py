"""Images that artefacts are calibrated on, and compared with checkpoints on."""

import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from datasets import dataset_factory
from datasets.records.examples import Examples
from engine.common import console
from engine.config.export import ExportConfig
from engine.resolve import data

# Height and width of images that are compared besides the examples.
_ODD_SIZES = ((31, 47), (97, 61))
_RANDOM = (96, 128)  # of images, where there are no data
_ANY = 1 << 31  # bad examples that are left out


class Sample(NamedTuple):
  """An image.

  Fields:
    data: the bytes of a file.
    image: uint8 [height, width, 3], as it is decoded.
  """

  data: bytes
  image: np.ndarray


def of(image: np.ndarray) -> Sample:
  """Returns an image, uint8 [height, width, 3], with a file of it."""
  file = io.BytesIO()
  Image.fromarray(image).save(file, 'png')
  return Sample(file.getvalue(), image)


def _drawn(seed: int, height: int, width: int) -> Sample:
  """Returns an image of blurred noise."""
  noise = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
  image = Image.fromarray(noise).resize(
    (width, height), Image.Resampling.BICUBIC
  )
  return of(np.asarray(image))


def odd() -> list[Sample]:
  """Returns images of odd sizes."""
  return [_drawn(i, *size) for i, size in enumerate(_ODD_SIZES)]


def _dataset(config, run, field, otherwise):
  """Returns a split of the run's data; ValueError if they are not there."""
  name = config.dataset_name or run.get('dataset_name')
  folder = config.dataset_dir or run.get('dataset_dir')
  if name is None and folder:
    name = dataset_factory.name_of(folder)
  if name is None:
    raise ValueError(
      'There is no config.json beside the checkpoint that names its data.'
    )
  splits = dataset_factory.get_specification(name, folder).splits
  split = run.get(field) or splits[otherwise]
  return data.get(name, split, folder)


def _of(dataset, count):
  """Yields examples, evenly from the whole split."""
  examples = Examples(dataset, skip=_ANY)
  wanted = np.linspace(0, len(examples) - 1, min(count, len(examples)))
  for index in wanted.astype(int):
    found = examples.example(int(index))
    if found is not None:
      yield Sample(found.data, found.image)


def to_compare(config: ExportConfig, run: Mapping[str, Any]) -> list[Sample]:
  """Returns evaluation examples; where there are none, says so.

  Args:
    config: complete; its dataset goes before that of the run.
    run: what the training wrote, {} if there is nothing.
  """
  count = config.parity_examples
  try:
    return [*_of(_dataset(config, run, 'eval_split_name', -1), count)]
  except (ValueError, OSError) as error:
    console.note(
      'the exported model is compared with the checkpoint on random images: '
      f'{console.explain(error)}'
    )
    return [_drawn(i, *_RANDOM) for i in range(count)]


def to_calibrate(config: ExportConfig, run: Mapping[str, Any]) -> list[Sample]:
  """Returns training examples; see `to_compare`.

  Raises:
    ValueError: there are none.
  """
  try:
    dataset = _dataset(config, run, 'dataset_split_name', 0)
    return [*_of(dataset, config.calibration_examples)]
  except (ValueError, OSError) as error:
    raise ValueError(
      f'--quantize={config.quantize} is calibrated on training images. '
      f'{console.explain(error)} Name them with --dataset_dir, or pass '
      '--quantize=float16.'
    ) from None


def fitted(
  image: np.ndarray,
  size: tuple[Any, ...],
  resampling: Image.Resampling = Image.Resampling.BILINEAR,
) -> np.ndarray:
  """Returns an image at a size: scaled until it covers it, its centre cut.

  Args:
    image: uint8 [height, width, 3], or a mask [height, width].
    size: height and width.
    resampling: NEAREST for a mask.
  """
  if image.shape[:2] == size:
    return image
  scale = max(size[0] / image.shape[0], size[1] / image.shape[1])
  height, width = (
    max(wanted, round(side * scale))
    for wanted, side in zip(size, image.shape, strict=False)
  )
  scaled = Image.fromarray(image).resize((width, height), resampling)
  y, x = (height - size[0]) // 2, (width - size[1]) // 2
  return np.asarray(scaled)[y : y + size[0], x : x + size[1]]
