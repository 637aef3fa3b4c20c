"""Where a network sees a class: Grad-CAM, drawn beside the image.

Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra: Grad-CAM: Visual
Explanations from Deep Networks via Gradient-based Localization.
arXiv:1610.02391, 2016
"""

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import tensorflow.compat.v1 as tf
from PIL import Image, ImageDraw

from datasets.images import contact_sheet
from datasets.suggestions import did_you_mean
from engine.config.scripts import ClassifyConfig
from engine.model.build import end_points_by_stride

FOLDER = 'explained'  # of the images, beside the checkpoint

_SHOWN = 20  # names of classes in an error
_COLOURS = 'turbo'  # of matplotlib, from no evidence to the most
_SHARE = 0.5  # of the colours, over the image
_CELL, _GAP, _LINE = 224, 8, 16  # the least side of an image, in pixels
_LEAST_ACROSS = 4  # features in a row that show places, for an advice
_PROBE = 32  # the side of the images of one colour, in pixels


class Explained(NamedTuple):
  """What is drawn of an image.

  Fields:
    image: uint8 [height, width, 3], as the network sees it.
    evidence: float32 [height, width], 0 and more: how much each place speaks
      for the class.
    label: the class.
  """

  image: np.ndarray
  evidence: np.ndarray
  label: int


def class_of(config: ClassifyConfig, names: Sequence[str]) -> int | None:
  """Returns the class that --explain_class names, None without it.

  Raises:
    ValueError: there is none of that name.
  """
  name = config.explain_class
  if name is None:
    return None
  if name not in names:
    listed = ', '.join(names[:_SHOWN]) + ', ...' * (len(names) > _SHOWN)
    raise ValueError(
      f'--explain_class={name} is no class of the checkpoint.'
      f'{did_you_mean(name, names)} The classes are: {listed}.'
    )
  return [*names].index(name)


def grad_cam(features: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
  """Returns the sum of features, each weighted by the score's mean gradient.

  What is below 0, and so speaks against the class, is 0 (equations 1 and 2).

  Args:
    features: float32 [batch, height, width, channels].
    scores: float32 [batch], the logit of a class for each image, made of the
      features of that image alone.

  Returns:
    float32 [batch, height, width].
  """
  (slopes,) = tf.gradients(scores, features)
  weights = tf.reduce_mean(slopes, [1, 2], keepdims=True)
  return tf.nn.relu(tf.reduce_sum(weights * features, 3))


def enlarged(maps: tf.Tensor, stride: int, side: int) -> tf.Tensor:
  """Returns maps of a stride at the size of the image.

  Position i of a map is position i * stride of the image, around which the
  convolutions see; in between is interpolated.

  Args:
    maps: float32 [batch, height, width].
    stride: that of the features.
    side: the height and width of the image.

  Returns:
    float32 [batch, side, side].
  """
  height, width = maps.shape.as_list()[1:]
  large = tf.image.resize_bilinear(
    maps[..., None], [height * stride, width * stride]
  )
  return large[:, :side, :side, 0]


def add(
  config: ClassifyConfig,
  side: int,
  logits: tf.Tensor,
  end_points: Mapping[str, tf.Tensor],
  label: int | None,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Adds the evidence for a class to the graph of a network.

  Args:
    config: complete.
    side: the height and width of the network's input.
    logits: float32 [batch, classes].
    end_points: the network's.
    label: the class, None for the likeliest of each image.

  Returns:
    evidence: float32 [batch, side, side]; see `Explained`.
    labels: int64 [batch], the class.

  Raises:
    ValueError: the network has no features of the stride, or they are one
      position alone.
  """
  described = end_points_by_stride(
    config, 'explain_stride', config.explain_stride
  )
  stride = config.explain_stride or max(described)
  features = _features(end_points, described, stride)
  if features.shape.as_list()[1:3] == [1, 1]:
    finer = [each for each in described if each * _LEAST_ACROSS <= side]
    raise ValueError(
      f'--explain: the features of stride {stride} are one for all of an image '
      f'of {side}x{side}, which shows no place: pass --explain_stride='
      f'{max(finer, default=min(described))}.'
    )
  labels = tf.argmax(logits, 1)
  if label is not None:
    labels = tf.fill(tf.shape(labels), tf.constant(label, tf.int64))
  scores = tf.gather(logits, labels, axis=1, batch_dims=1)
  return enlarged(grad_cam(features, scores), stride, side), labels


def _features(end_points, described, stride):
  """Returns the features of a stride."""
  if stride == max(described):  # with what follows the last unit
    return end_points['global_pool'].op.inputs[0]
  return end_points[described[stride]]


def shower(
  prepare: Callable[[np.ndarray], np.ndarray],
) -> Callable[[np.ndarray], np.ndarray]:
  """Returns what makes an image of a network's input.

  Recipes scale and shift the channels of an image, and may turn their order,
  which is told by what they make of images of one colour.

  Args:
    prepare: the network's input of an image, uint8 [height, width, 3], as
      float32 [height, width, 3 or 1].

  Returns:
    A function of such an input, which returns uint8 [height, width, 3]. Where
    a recipe scales each image by its own values, it spans all brightness.
  """

  def of(*colour):
    return prepare(np.full((_PROBE, _PROBE, 3), colour, np.uint8))

  black, white, red = of(0, 0, 0), of(255, 255, 255), of(255, 0, 0)
  span = white - black
  known = np.abs(span).min() > 1e-3
  change = np.abs(red - black).mean((0, 1))
  turned = known and len(change) == 3 and change[2] > change[0]

  def show(prepared):
    if known:
      shares = (prepared - black) / span
    else:
      low, high = prepared.min(), prepared.max()
      shares = (prepared - low) / max(high - low, 1e-6)
    shown = np.clip(np.rint(shares * 255), 0, 255).astype(np.uint8)
    shown = shown[..., ::-1] if turned else shown
    return np.broadcast_to(shown, (*shown.shape[:2], 3))

  return show


def overlay(image: np.ndarray, evidence: np.ndarray) -> np.ndarray:
  """Returns an image, in grey, under the colours of the evidence.

  The most of it has the last colour of the scale; without any the image has no
  colours.

  Args:
    image: uint8 [height, width, 3].
    evidence: float [height, width], 0 and more.

  Returns:
    uint8 [height, width, 3].
  """
  grey = np.asarray(Image.fromarray(image).convert('L'))[..., None]
  if not evidence.max() > 0:
    return np.broadcast_to(grey, image.shape)
  colours = matplotlib.colormaps[_COLOURS](evidence / evidence.max())[..., :3]
  mixed = grey * (1 - _SHARE) + colours * 255 * _SHARE
  return np.rint(mixed).astype(np.uint8)


def draw(
  path: str | os.PathLike,
  explained: Explained,
  name: str,
  probability: float,
  source: str,
) -> None:
  """Draws an image beside the image under its evidence, as a PNG.

  Args:
    path: of the PNG.
    explained: what is drawn.
    name: that of the class.
    probability: that of the class, in [0, 1].
    source: the name of the image's file.
  """
  side = max(_CELL, *explained.image.shape[:2])
  left = contact_sheet.fit(np.ascontiguousarray(explained.image), side)
  right = Image.fromarray(overlay(explained.image, explained.evidence)).resize(
    left.size, Image.Resampling.BILINEAR
  )
  width = 2 * left.width + 3 * _GAP
  sheet = Image.new(
    'RGB', (width, left.height + 2 * _GAP + 2 * _LINE), contact_sheet.PAPER
  )
  for i, each in enumerate((left, right)):
    sheet.paste(each, (_GAP + i * (left.width + _GAP), _GAP))
  pen, face = ImageDraw.Draw(sheet), contact_sheet.font()
  why = '' if explained.evidence.max() > 0 else '; nothing speaks for it'
  for i, text in enumerate((source, f'{name}: {probability:.2%}{why}')):
    pen.text(
      (_GAP, left.height + _GAP + 2 + i * _LINE),
      contact_sheet.shorten(text, face, width - 2 * _GAP),
      contact_sheet.INK,
      face,
    )
  contact_sheet.save(sheet, path)


def place(config: ClassifyConfig, stem: str) -> str:
  """Returns the file that is drawn of an image, by its name."""
  return str(pathlib.Path(config.explain_dir, f'{stem}_explained.png'))
