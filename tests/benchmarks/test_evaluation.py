"""Both ways to evaluate must give the same, or their times say nothing."""

import numpy as np

from benchmarks import evaluation


def test_both_ways_give_the_same_bits():
  made = evaluation.Made(300, 50)
  one, other = [way(made) for way in evaluation.WAYS.values()]
  assert one == other
  assert one['examples'] == 300 and 0 < one['top_5_accuracy'] < 1


def test_batches_differ():
  first, second = evaluation.Made(2 * evaluation.SIZE, 7).batches('')
  assert not np.array_equal(first.logits, second.logits)
  assert [*first.records, *second.records] == [*range(2 * evaluation.SIZE)]
