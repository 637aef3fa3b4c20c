"""What is said of a name that is unknown."""

import pytest

from datasets import suggestions


@pytest.mark.parametrize(
  'name, options, expected',
  [
    ('applle', {}, ' Did you mean apple?'),
    ('zzz', {}, ''),
    ('pe', {}, ' Did you mean pear or apple?'),
    ('pe', {'n': 1}, ' Did you mean pear?'),
    ('pe', {'cutoff': 0.9}, ''),
  ],
)
def test_did_you_mean(name, options, expected):
  known = {'apple': 1, 'pear': 2}
  options = {'cutoff': 0.5, **options}
  assert suggestions.did_you_mean(name, known, **options) == expected


def test_an_entry():
  assert suggestions.entry('fruit', {'pear': 2}, 'pear') == 2
  with pytest.raises(ValueError) as error:
    suggestions.entry('fruit', {'apple': 1, 'pear': 2}, 'appel', ' and more')
  assert str(error.value) == (
    "There is no fruit named 'appel'. Did you mean apple? The fruits are: "
    'apple, pear and more.'
  )
