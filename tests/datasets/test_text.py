"""Names and lists as people read them."""

import pytest

from datasets.text import columns, cut


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
