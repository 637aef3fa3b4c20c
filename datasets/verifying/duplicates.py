"""Records of one image: within a split, in two, and with other labels.

And those that are the same byte for byte, as when a file was copied twice.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

_NAMED = 3  # images in a sentence
# A split here has a name, call(index), which names a record, and rows, the
# numbers of each record: whether it is good, its label, the digests of its
# image and of its bytes.


class Duplicates(NamedTuple):
  """Records of the same image: their numbers, and one of each for naming."""

  leaked: Counter
  repeated: Counter
  pairs: dict[tuple[str, str], list]
  conflicts: list
  copies: list


def _groups(
  splits: Sequence[Any], field: str
) -> Iterator[list[tuple[Any, int]]]:
  """Yields the records of each digest that occurs twice, in their order."""
  good = [np.flatnonzero(split.rows['good']) for split in splits]
  owner = np.repeat(range(len(good)), [*map(len, good)])
  number = np.concatenate(good)
  digests = np.concatenate(
    [
      split.rows[field][which]
      for split, which in zip(splits, good, strict=True)
    ]
  )
  order = np.argsort(digests, kind='stable')
  starts = np.flatnonzero(np.r_[True, np.diff(digests[order]) != 0])
  ends = np.r_[starts[1:], len(order)]
  groups = [
    order[start:end]
    for start, end in zip(starts, ends, strict=True)
    if end - start > 1
  ]
  for group in sorted(groups, key=lambda group: group[0]):
    yield [(splits[owner[i]], int(number[i])) for i in group]


def compare(splits: Sequence[Any]) -> Duplicates:
  """Returns the records of splits whose images are the same."""
  copies = [*_groups(splits, 'record')]
  found = Duplicates(Counter(), Counter(), {}, [], copies)
  for group in _groups(splits, 'digest'):
    sizes = Counter(split.name for split, _ in group)
    first, labels = {}, {}  # the first record of each split, of each label
    for split, index in group:
      first.setdefault(split.name, (split, index))
      labels.setdefault(split.rows['label'][index], (split, index))
    for pair in itertools.combinations(first, 2):
      found.leaked[pair] += sizes[pair[1]]
      found.pairs.setdefault(pair, []).append([first[name] for name in pair])
    if len(labels) > 1:
      found.conflicts.append([*labels.values()])
    for (name, _), count in Counter(
      (split.name, split.rows['label'][index]) for split, index in group
    ).items():
      found.repeated[name] += count - 1
  return found


def named(groups: Sequence[Sequence[tuple[Any, int]]]) -> str:
  """Returns the names of the first groups' records, to end a sentence."""
  texts = [
    ' = '.join(split.call(index) for split, index in group[:_NAMED])
    for group in groups[:_NAMED]
  ]
  return '; '.join(texts) + (' and more.' if len(groups) > _NAMED else '.')


def notes(
  splits: Sequence[Any], found: Duplicates, alike: str
) -> Iterator[str]:
  """Yields sentences on images that occur more than once.

  Args:
    splits: those that were compared.
    found: what `compare` found.
    alike: said of records of one image that repeat each other.
  """
  totals = {split.name: int(split.rows['good'].sum()) for split in splits}
  for (one, other), count in found.leaked.items():
    yield (
      f'Images of {other} that are in {one} too: {count:,} of '
      f'{totals[other]:,}. Results on {other} are too good by them: '
      f'{named(found.pairs[one, other])}'
    )
  for name, count in (+found.repeated).items():
    yield (
      f'Images of {name} that repeat another one {alike}: '
      f'{count:,} of {totals[name]:,}.'
    )
  if found.copies:
    count = sum(len(group) - 1 for group in found.copies)
    yield (
      f'Records that are another one byte for byte: {count:,}. Was a file '
      f'copied twice? {named(found.copies)}'
    )
