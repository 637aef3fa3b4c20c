"""What the masks of a split hold, and why a network would not learn from it."""

import contextlib
import hashlib
from typing import Any

import numpy as np

from datasets import label_kinds
from datasets.images import mask_files, palettes
from datasets.images.image_files import BadImage
from datasets.limits import MOST_IDS
from datasets.records.examples import features_of
from datasets.records.pixel_counts import Tally
from datasets.text import cut, few
from datasets.verifying import duplicates
from datasets.verifying.classes import empty_classes, is_learnt
from datasets.verifying.report import Values

_IGNORED, _ALL, _RARE = 0.5, 0.95, 0.001  # shares of the pixels
_SMOOTHED = 8  # values that are no class, of which more come from smoothing
_FEATURE = label_kinds.get(label_kinds.SEGMENTATION).feature
_MASK_FOLDER = '--dataset_name=mask_folder'


class MaskStatistics:
  """Counts the pixels of a split; safe in many threads.

  Attributes:
    word: what a record has besides its image.
    alike: said of records with the same image and mask.
  """

  word, alike = 'mask', 'with its mask'

  def __init__(self, data: Any):
    """Sets the dataset, which has class_names and an ignore_label."""
    self._names, self._ignore_label = data.class_names, data.ignore_label
    self._tally = Tally()
    self._blank, self._strange = [], []  # numbers of records, in any order

  @property
  def examined(self) -> range:
    """The values that do not make a record bad: all are counted."""
    return range(MOST_IDS)

  def add(self, index: int, mask: np.ndarray) -> int:
    """Counts the mask of record `index`; returns what tells it from others."""
    found = np.flatnonzero(self._tally.add(mask))
    if found.tolist() == [self._ignore_label]:
      self._blank.append(index)
    if any(not self._is_known(value) for value in found):
      self._strange.append(index)
    digest = hashlib.blake2b(np.ascontiguousarray(mask), digest_size=8)
    return int.from_bytes(digest.digest(), 'big', signed=True)

  def _is_known(self, value):
    return value < len(self._names) or value == self._ignore_label

  @property
  def _counts(self):
    return self._tally.counts(len(self._names), self._ignore_label)

  @property
  def counted(self) -> dict[str, list[int]]:
    """What dataset.json should say, by the fields of its splits."""
    return {
      'examples_per_class': self._counts.images.tolist(),
      'pixels_per_class': self._counts.pixels.tolist(),
    }

  @property
  def values(self) -> Values:
    """What the masks hold."""
    return Values(
      self._tally.examples,
      tuple(self._tally.pixels.tolist()),
      tuple(self._tally.masks.tolist()),
    )

  def fact(self, label: int) -> str:
    """Returns '': a mask has no name."""
    return ''

  def judge(self, split: Any) -> tuple[list[str], list[str]]:
    """Returns what has to be repaired, and what one should know."""
    contradicting = [*self._palettes(split)]
    if not self._tally.examples:
      return contradicting, []
    problems = [*contradicting, *self._strangers(split)]
    notes = [*self._blanks(split)]
    there = np.flatnonzero(self._counts.pixels)
    if len(there) < 2:
      lacks = [self._one_class(split, there)]
    else:
      lacks = empty_classes(
        split,
        self._names,
        self._counts.pixels,
        [self._ignore_label] + [0] * (self._names[0] == 'background'),
      )
      notes += [*self._ignored(split), *self._shares(split)]
    (problems if is_learnt(split) else notes).extend(lacks)
    return problems, notes

  def _palettes(self, split):
    """Yields how the palettes of masks that were refused contradict others."""
    known = palettes.Palettes(self._ignore_label)
    for name, record in split.refused():
      for data in features_of(record)[_FEATURE].bytes_list.value:
        colours = {}
        with contextlib.suppress(BadImage):  # it has its own sentence
          colours = mask_files.used_colours(data)
        wrong = known.add(name, colours)
        if wrong:
          yield (
            f'The palettes of the masks of {split.name} contradict each other: '
            f'{wrong}. {palettes.CURE}'
          )
          return

  def _share(self, pixels):
    return pixels / self._tally.pixels.sum()

  def _strangers(self, split):
    """Yields what values there are that are neither classes nor ignored."""
    values = [
      value
      for value in np.flatnonzero(self._tally.pixels).tolist()
      if not self._is_known(value)
    ]
    if not values:
      return
    ignored = (
      'no value is ignored'
      if self._ignore_label is None
      else f'{self._ignore_label} is ignored'
    )
    cure = (
      'So many come from masks that were made smaller or larger with '
      'smoothing, or saved as JPEG: write them again, by nearest neighbour '
      'and as PNG.'
      if len(values) > _SMOOTHED
      else 'Name every class in --labels_file, or convert the data again: '
      '--mask_values gives values classes in their order, --ignore_label='
      f'{values[-1]} leaves one out.'
    )
    masks = len(self._strange)
    share = self._share(self._tally.pixels[values].sum())
    yield (
      f'Masks of {split.name} hold values that are no class: '
      f'{few(map(str, values))}, {share:.2%} of the pixels. The '
      f'classes are 0 to {len(self._names) - 1}, and {ignored}. They are '
      f'in {masks:,} of {self._tally.examples:,} masks, '
      f'{self._few_records(split, self._strange)} {cure}'
    )

  def _few_records(self, split, indices):
    return duplicates.named([[(split, index)] for index in sorted(indices)])

  def _one_class(self, split, there):
    """Returns that there is nothing to be told apart."""
    what = (
      f'hold one class only, {self._call(there[0])}'
      if len(there)
      else 'hold no class'
    )
    if self._counts.ignored:
      value = self._ignore_label
      return (
        f'The masks of {split.name} {what}; the rest is {value}, which '
        f'is ignored. If {value} stands for a class, as in masks of '
        f'black and white, convert them by {_MASK_FOLDER} '
        f'--mask_values=0,{value}.'
      )
    return (
      f'The masks of {split.name} {what}: there is nothing to be told '
      'apart. Were they saved with the colours of classes, or with '
      'numbers of objects? See --color_table and --mask_values of '
      f'{_MASK_FOLDER}.'
    )

  def _call(self, label):
    return f'{label} {cut(self._names[label], 40)}'

  def _blanks(self, split):
    if self._blank:
      yield (
        f'Masks of {split.name} of which every pixel is ignored: '
        f'{len(self._blank):,} of {self._tally.examples:,}. Nothing is '
        f'learnt from them, {self._few_records(split, self._blank)}'
      )

  def _ignored(self, split):
    share = self._share(self._counts.ignored)
    if share > _IGNORED:
      yield (
        f'{share:.1%} of the pixels of {split.name} are ignored, having '
        f'the value {self._ignore_label}: they are neither learnt nor '
        'evaluated. If it stands for a class, convert the data again '
        'with another --ignore_label.'
      )

  def _shares(self, split):
    """Yields what classes have nearly all of the pixels, or nearly none."""
    pixels = self._counts.pixels
    shares = pixels / pixels.sum()
    label = int(shares.argmax())
    if shares[label] > _ALL:
      classes = int((pixels > 0).sum())
      yield (
        f'{shares[label]:.1%} of the pixels of {split.name} that count '
        f'are {self._call(label)}. A network that says nothing else has '
        f'that pixel accuracy, and a mIOU of {shares[label] / classes:.1%}'
        '. If yours ends there, train with --class_weights=auto.'
      )
    elif is_learnt(split):
      rare = [
        self._call(label)
        for label in np.flatnonzero((pixels > 0) & (shares < _RARE)).tolist()
      ]
      if rare:
        yield (
          f'Classes with less than {_RARE:.1%} of the pixels of '
          f'{split.name}: {few(rare)}. --class_weights=auto makes them '
          'count more.'
        )
