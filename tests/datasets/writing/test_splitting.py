"""The stratified split, and the checks of class names."""

import collections

import numpy as np
import pytest

from datasets.writing import splitting
from datasets.writing.plan import Item, Options


def _items(labels):
  return [Item(f'{i}', label, lambda: b'') for i, label in enumerate(labels)]


def test_each_class_gives_its_part():
  labels = [0] * 100 + [1] * 50 + [2] * 10
  labels = np.random.RandomState(0).permutation(labels).tolist()
  train, aside = splitting.stratified_split(labels, 0.2, 0)
  assert sorted(train + aside) == list(range(160))
  assert train == sorted(train) and aside == sorted(aside)
  assert collections.Counter(labels[i] for i in aside) == {0: 20, 1: 10, 2: 2}


def test_small_classes_are_on_both_sides():
  """And one of a single example stays."""
  labels = [0, 1, 1] + [2] * 100 + [3] * 3
  for fraction in (0.001, 0.1, 0.999):
    train, aside = splitting.stratified_split(labels, fraction, 0)
    assert {labels[i] for i in train} == {0, 1, 2, 3}
    assert {labels[i] for i in aside} == {1, 2, 3}


def test_the_seed_decides():
  labels = [0] * 50 + [1] * 50
  first, again, other = (
    splitting.stratified_split(labels, 0.3, seed)[1] for seed in (1, 1, 2)
  )
  assert first == again != other


def test_not_the_first_of_each_class():
  _, aside = splitting.stratified_split([0] * 100, 0.1, 0)
  assert aside != list(range(10)) and aside != list(range(90, 100))


@pytest.mark.parametrize('fraction', [0, 1, -0.1, 1.5, float('nan')])
def test_fraction_out_of_range(fraction):
  with pytest.raises(
    ValueError,
    match=(
      f'^The validation fraction is {fraction}; it should be above 0 and below '
      '1, such as 0.1.$'
    ),
  ):
    splitting.stratified_split([0, 0, 1, 1], fraction, 0)


def test_single_examples_alone():
  with pytest.raises(ValueError, match='No class has two examples'):
    splitting.stratified_split([0, 1, 2], 0.5, 0)


def test_complete():
  items = _items([0] * 10 + [1] * 10)
  splits = splitting.complete({'train': items}, Options(0.2, 3))
  assert list(splits) == ['train', 'validation']
  train, aside = splitting.stratified_split([0] * 10 + [1] * 10, 0.2, 3)
  assert splits['train'] == [items[i] for i in train]
  assert splits['validation'] == [items[i] for i in aside]
  both = {'train': items[:1], 'test': items[1:]}
  assert splitting.complete(both, Options(7.0)) is both


@pytest.mark.parametrize(
  'classes, words',
  [
    ({'train': ['a', 'b\nc']}, r"the class 'b\nc' has a control character"),
    ({'train': ['a', 'b\x7f']}, r"the class 'b\x7f' has a control"),
    ({'train': ['a', 'b\u2028']}, r"the class 'b\u2028' has a control"),
    (
      {'train': ['a', 'caf\udce9']},
      r"'caf\udce9' has a control character, or "
      'bytes that are not UTF-8, in its name. Rename it.',
    ),
    ({'train': ['a', ' ']}, "the class ' ' has a blank name. Rename it."),
    (
      {'train': ['a', 'b', 'a ']},
      "the classes 'a' and 'a ' differ by surrounding blanks only.",
    ),
    (
      {'train': ['a', 'b'], 'test': [' b']},
      "the classes ' b' and 'b' differ by surrounding blanks only.",
    ),
    (
      {'train': ['a', 'b'], 'test': ['a', 'c', 'd']},
      'SRC: test has examples of c, d, and train has none.',
    ),
    (
      {'train': ['a', 'b'], 'test': list('cdefghij')},
      'test has examples of c, d, e, f, g and 3 more, and train has none.',
    ),
    ({'train': ['a']}, 'SRC has one class only, a; training needs two'),
  ],
)
def test_classes_refused(classes, words):
  with pytest.raises(ValueError) as caught:
    splitting.check_classes(classes, 'SRC')
  assert words in str(caught.value)
  str(caught.value).encode()  # can be printed
  assert '\n' not in str(caught.value)


def test_classes_accepted():
  splitting.check_classes({'train': ['a', 'Käse: 猫', 'c'], 'test': ['a']}, '')
