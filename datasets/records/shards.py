"""Files of records whose names tell how many there are: NUMBER-of-COUNT."""

import collections
import itertools
import os
import re
from collections.abc import Iterator, Sequence

from datasets import files
from datasets.text import few

_SHARD = re.compile(r'(.*?)(\d{1,9})-of-(\d{1,9})(?!\d)(.*)', re.DOTALL)
_ENDING = re.compile(r'\.tfrecords?$')
_NAMED = 5  # missing files


def is_named_as_records(path: str) -> bool:
  """Whether a name is that of a file of records, whatever it is of."""
  name = os.path.basename(path)
  return bool(_SHARD.fullmatch(name) or _ENDING.search(name))


def regular(paths: Sequence[str]) -> tuple[list[str], list[str]]:
  """Returns the paths that are of files, and a sentence for each other one."""
  found, problems = [], []
  for path in paths:
    try:
      files.check_regular(path)
      found.append(path)
    except files.Irregular as error:
      problems.append(str(error))
  return found, problems


def problems(paths: Sequence[str]) -> Iterator[str]:
  """Yields what is wrong with the files of a split, by their names.

  Args:
    paths: all of them; those that are not named NUMBER-of-COUNT may be any.
  """
  sets: dict = collections.defaultdict(lambda: collections.defaultdict(list))
  for path in paths:
    folder, name = os.path.split(path)
    found = _SHARD.fullmatch(name)
    if found:
      stem, number, count, end = found.groups()
      sets[folder, stem, end][count].append(number)
  for (folder, stem, end), by_count in sets.items():
    names = [f'{stem}*-of-{count}{end}' for count in by_count]
    if len(names) > 1:
      yield (
        f'{folder} has files of {len(names)} sets, {" and ".join(names)}: '
        'remove those that do not belong there.'
      )
      continue
    for count, numbers in by_count.items():
      yield from _incomplete(folder, stem, end, count, numbers)


def _incomplete(folder, stem, end, count, numbers):
  """Yields what a set has too few or too many of."""

  def name(number):
    return f'{stem}{number:0{len(count)}}-of-{count}{end}'

  total, times = int(count), collections.Counter(map(int, numbers))
  # Some count from 1.
  known = range(1, total + 1) if times[total] and not times[0] else range(total)
  lacking = total - sum(number in known for number in times)
  if lacking:
    first = itertools.islice((n for n in known if n not in times), _NAMED)
    more = f' and {lacking - _NAMED:,} more' if lacking > _NAMED else ''
    yield (
      f'{folder} lacks {lacking:,} of {total:,} files: '
      f'{", ".join(map(name, first))}{more}. Copy what is missing again; if it '
      'is left out on purpose, rename the others.'
    )
  odd = [name(n) for n in times if n not in known or times[n] > 1]
  if odd:
    yield (
      f'{folder} has more than the {total:,} files that the names tell: '
      f'{few(odd)}. Remove what does not belong there.'
    )
