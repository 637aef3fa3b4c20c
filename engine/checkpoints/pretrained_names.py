"""The names of weights that others have published: looked up, and listed.

Nothing here imports TensorFlow.
"""

import re
from collections.abc import Iterator

from datasets.suggestions import did_you_mean, nearest
from nets.catalogue import pretrained_table
from nets.catalogue.pretrained_table import Pretrained

ANY = 'pretrained'  # the source that stands for all
_NAME = re.compile(r'([a-z]+):(?!//)(.*)', re.DOTALL)


def _split(name):
  source, _, own = name.partition(':')
  return source, own


def sources() -> list[str]:
  """Returns what stands before the colon of a name.

  >>> sources()[:3]
  ['pretrained', 'tfslim', 'keras']
  """
  known = (_split(name)[0] for name in pretrained_table.PRETRAINED)
  return list(dict.fromkeys((ANY, *known)))


def is_name(path: str) -> bool:
  """Whether a path is none, but a name such as pretrained:resnet_v1_50.

  >>> is_name('tfslim:resnet_v1_50'), is_name('gs://a'), is_name('C:/a')
  (True, False, False)
  """
  found = _NAME.fullmatch(path)
  return found is not None and found[1] in sources()


def instead(path: str) -> str:
  """Returns a sentence on the name that may be meant by a path, '' if none.

  >>> instead('torchvison:resnet50')
  ' Did you mean torchvision:resnet50?'
  """
  found = _NAME.fullmatch(path)
  near = nearest(found[1], sources(), n=1) if found else []
  return f' Did you mean {near[0]}:{found[2]}?' if found and near else ''


def find(path: str) -> tuple[str, Pretrained]:
  """Returns the name in the table that a name stands for, and its entry.

  >>> find('pretrained:resnet_v1_50')[0]
  'tfslim:resnet_v1_50'

  Args:
    path: see `is_name`, and `pretrained_table.names`.

  Raises:
    ValueError: there is none; the sentence has the nearest names, and all of
      the source.
  """
  names = pretrained_table.names()
  if path.lower() in names:
    name = names[path.lower()]
    return name, pretrained_table.PRETRAINED[name]
  source, wanted = _split(path.lower())
  inside = [own for its, own in map(_split, names) if its == source]
  elsewhere = [
    name
    for name in names
    if name != f'{ANY}:{wanted}' and _split(name)[1] == wanted
  ]
  hint = (
    f' Did you mean {" or ".join(elsewhere[:2])}?'
    if elsewhere
    else did_you_mean(wanted, inside)
  )
  listed = (
    inside
    if source == ANY
    else [
      own
      for its, own in map(_split, pretrained_table.PRETRAINED)
      if its == source
    ]
  )
  raise ValueError(
    f'There are no weights named {path}.{hint} Behind {source}: can stand '
    f'{", ".join(listed)}. --list_pretrained prints them all, with their '
    'networks.'
  )


def megabytes(size: int | None) -> str:
  """Returns a size in bytes as people read it, '' of one that is unknown.

  >>> megabytes(102_530_333)
  '103 MB'
  """
  return f'{max(1, round(size / 1e6))} MB' if size else ''


def _rows():
  yield (
    'name',
    'network',
    'top-1',
    'top-5',
    'parameters',
    'size',
    'preprocessing',
    'images',
    'licence',
  )
  for name, entry in pretrained_table.PRETRAINED.items():
    first = next(iter(pretrained_table.of_network(entry.network))) == name
    yield (
      name,
      f'{entry.network} *' if first else entry.network,
      *(
        '' if share is None else f'{share:.2f}'
        for share in (entry.top1, entry.top5)
      ),
      f'{entry.parameters:,}' if entry.parameters else '',
      megabytes(entry.size),
      entry.preprocessing,
      f'{entry.image_size}x{entry.image_size}',
      entry.licence,
    )


_NUMBERS = ('top-1', 'top-5', 'parameters', 'size')


def lines() -> Iterator[str]:
  """Yields the lines of the table that --list_pretrained prints."""
  header, *rows = _rows()
  widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
  for row in (header, *rows):
    yield '  '.join(
      cell.rjust(width) if title in _NUMBERS else cell.ljust(width)
      for cell, width, title in zip(row, widths, header, strict=True)
    ).rstrip()
  yield (
    f'* is what {ANY}:NETWORK stands for. The accuracies are the published '
    'ones, in percent of the validation images of ImageNet.'
  )
