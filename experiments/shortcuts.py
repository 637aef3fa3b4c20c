"""Which shortcuts are the best where channels change?

  python -m experiments.shortcuts

He et al. (arXiv:1512.03385, table 3) compare, for 34 layers on ImageNet, A:
zeros for the new channels (25.03 % error), B: a projection where the size
changes (24.52 %), C: projections everywhere (24.19 %), and find the differences
small. Trains the three on the handwritten digits, with three seeds each, or on
any data by the flags of the training script.
"""

import dataclasses
import sys

from experiments import common


@dataclasses.dataclass(frozen=True)
class ShortcutsConfig(common.ComparisonConfig):
  __doc__ = common.ComparisonConfig.__doc__
  experiment, varies = 'shortcuts', 'shortcut'
  model_name: str = common.preset('model_name', 'cifar_residual_20')
  shortcut: str | None = common.preset('shortcut', 'A,B,C')

  def claims(self, results: dict) -> list[str]:
    """Returns how the options compare in test error, in a sentence.

    Args:
      results: `comparing.Result` by the option.
    """
    if len(results) < 2:
      return []
    order = sorted(
      results, key=lambda option: results[option].mean('test_error')
    )
    first, last = results[order[0]], results[order[-1]]
    gap = 100 * (last.mean('test_error') - first.mean('test_error'))
    apart = min(last.errors['test_error']) > max(first.errors['test_error'])
    verdict = (
      'one seed does not tell how surely'
      if len(first.errors['test_error']) == 1
      else 'and the seeds of the two are apart'
      if apart
      else 'and the seeds of the two overlap'
    )
    return [
      f'From the least test error to the greatest: {", ".join(order)}; '
      f'{gap:.2f} points lie between, {verdict}. On ImageNet the order was '
      'C, B, A, with 0.84 points between.'
    ]


def main(argv: list[str] | None = None) -> int:
  """Runs the experiment as the flags say; returns the exit status."""
  return common.start(ShortcutsConfig, argv)


if __name__ == '__main__':
  sys.exit(main())
