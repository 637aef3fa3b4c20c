"""What converters share: the stratified split, and the checks of classes."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from datasets.text import check_name, few
from datasets.writing.plan import Item, Options

# What sources call their splits, and what they are called here.
SPLITS = {
  'train': 'train',
  'test': 'test',
  'val': 'validation',
  'validation': 'validation',
}


def check_classes(classes: Mapping[str, Collection[str]], source: str) -> None:
  """Refuses class names that cannot be trained or told apart.

  Args:
    classes: the class names that occur in each split, by its name.
    source: where they come from, for the errors.

  Raises:
    ValueError: a blank or unwritable name, two that differ by surrounding
      blanks only, less than two in train, or one that train does not have.
  """
  stripped = {}
  for name in sorted(set().union(*classes.values())):
    check_name(name, f'{source}: the class')
    if not name.strip():
      raise ValueError(
        f'{source}: the class {name!r} has a blank name. Rename it.'
      )
    other = stripped.setdefault(name.strip(), name)
    if other != name:
      raise ValueError(
        f'{source}: the classes {other!r} and {name!r} differ by '
        'surrounding blanks only. Rename one of them.'
      )
  for split, names in classes.items():
    alone = sorted(set(names) - set(classes['train']))
    if alone:
      raise ValueError(
        f'{source}: {split} has examples of {few(alone)}, and train has '
        'none. Add some to train, or take these away.'
      )
  if len(classes['train']) < 2:
    raise ValueError(
      f'{source} has one class only, {few(classes["train"])}; training '
      'needs two or more.'
    )


def stratified_split(
  labels: Sequence[int], fraction: float, seed: int
) -> tuple[list[int], list[int]]:
  """Sets a part of each class aside, always the same.

  Args:
    labels: the label of each example.
    fraction: the part of each class that is set aside, in (0, 1), rounded;
      but no class gives all its examples, and one of two or more gives one.
    seed: fixes the choice.

  Returns:
    The indices of the examples that stay, and those of the others; ascending.

  Raises:
    ValueError: a fraction out of its range, or no class of two examples.
  """
  from sklearn.model_selection import train_test_split

  if not 0 < fraction < 1:
    raise ValueError(
      f'The validation fraction is {fraction}; it should be '
      'above 0 and below 1, such as 0.1.'
    )
  labels = np.asarray(labels)
  order = np.argsort(labels, kind='stable')
  classes = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
  aside = []
  for members in classes:
    # By class: with `stratify`, a small class may end on one side.
    count = min(max(1, round(len(members) * fraction)), len(members) - 1)
    if count:
      aside.append(
        train_test_split(members, test_size=count, random_state=seed)[1]
      )
  if not aside:
    raise ValueError(
      'No class has two examples, so that none can be set '
      'aside for validation. Add examples.'
    )
  chosen = np.zeros(len(labels), bool)
  chosen[np.concatenate(aside)] = True
  return np.flatnonzero(~chosen).tolist(), np.flatnonzero(chosen).tolist()


def complete(
  splits: dict[str, list[Item]], options: Options
) -> dict[str, list[Item]]:
  """Makes the validation split of a source that has nothing but train.

  Args:
    splits: the examples of each split, by its name.
    options: of the converter.

  Returns:
    The splits as they are if there are several; else train and validation.

  Raises:
    ValueError: see `stratified_split`.
  """
  if list(splits) != ['train']:
    return splits
  items = splits['train']
  # Images with masks have no label; they count as one class.
  parts = stratified_split(
    [item.label or 0 for item in items],
    options.validation_fraction,
    options.seed,
  )
  return {
    split: [items[i] for i in part]
    for split, part in zip(('train', 'validation'), parts, strict=True)
  }
