"""Names and lists as people read them."""

import pytest

from datasets.text import columns, cut, few, one_line


@pytest.mark.parametrize(
  'text, width, shown',
  [
    ('rose', 4, 'rose'),
    ('roses', 4, 'ros…'),
    ('薔薇', 4, '薔薇'),
    ('薔薇の', 4, '薔…'),
    ('a\nb\0', 9, 'a?b?'),
    ('', 4, ''),
    ('e\u0301' * 4, 4, 'e\u0301' * 4),
  ],
)
def test_cut(text, width, shown):
  assert cut(text, width) == shown
  assert columns(shown) <= width


def test_names_in_a_line():
  assert one_line('a\nerror: b\t\x1b') == r'a\nerror: b\t\x1b'
  assert few(['a\nb', 'c']) == r'a\nb, c'
