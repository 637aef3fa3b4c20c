"""Do deeper networks train worse, and do shortcuts cure it?

  python -m experiments.degradation

He et al. (arXiv:1512.03385, figures 1 and 6): a plain network of 56 layers has
a larger training error on CIFAR-10 than one of 20, and with shortcuts the
deeper one is the better. Trains the four on the handwritten digits, with three
seeds each, or on any data by the flags of the training script.

The default learning rate begins at a tenth of theirs, since these are hundreds
of steps and not 64,000: at 0.1 the first steps throw the deep networks off, the
plain one for good, and the residual one so far that it takes longer than 400
steps to catch up with that of 20 layers. It falls as a cosine, since the errors
of the last steps would else be as uneven as the steps are large.
"""

import dataclasses
import sys

from experiments import common


def _families(names):
  """Returns {family: its names by depth}, of those of several depths."""
  found = {}
  for name in names:
    family, _, depth = name.rpartition('_')
    if depth.isdigit():
      found.setdefault(family, {})[int(depth)] = name
  return {
    family: dict(sorted(depths.items()))
    for family, depths in found.items()
    if len(depths) > 1
  }


# What He et al. found the deeper one to be on CIFAR-10.
_FOUND = {'cifar_plain': 'worse', 'cifar_residual': 'better'}


def _verdict(deep, shallow, family):
  """Returns what the errors of the seeds say of the claim."""
  if len(deep) == 1:
    return 'with one seed, which does not tell how sure that is'
  verdict = (
    'worse in every seed'
    if min(deep) > max(shallow)
    else 'better in every seed'
    if max(deep) < min(shallow)
    else 'within the range of the seeds'
  )
  found = _FOUND.get(family)
  return verdict + (
    f'; He et al. found it {found} on CIFAR-10' if found else ''
  )


@dataclasses.dataclass(frozen=True)
class DegradationConfig(common.ComparisonConfig):
  __doc__ = common.ComparisonConfig.__doc__
  experiment = 'degradation'
  model_name: str = common.preset(
    'model_name',
    'cifar_plain_20,cifar_plain_56,cifar_residual_20,cifar_residual_56',
  )

  def claims(self, results: dict) -> list[str]:
    """Returns a sentence for every family of networks of several depths.

    A depth is worse than another if each of its seeds is worse than each of
    the other's.

    Args:
      results: `comparing.Result` by the network's name.
    """
    lines = []
    for family, depths in _families(results).items():
      (low, shallow), *_, (high, deep) = depths.items()
      errors = {
        name: results[name].errors['train_error'] for name in (shallow, deep)
      }
      gap = 100 * (
        results[deep].mean('train_error') - results[shallow].mean('train_error')
      )
      lines.append(
        f'{family}: the training error of {high} layers ends '
        f'{abs(gap):.2f} points {"above" if gap > 0 else "below"} that of '
        f'{low}, {_verdict(errors[deep], errors[shallow], family)}.'
      )
    return lines


def main(argv: list[str] | None = None) -> int:
  """Runs the experiment as the flags say; returns the exit status."""
  return common.start(DegradationConfig, argv)


if __name__ == '__main__':
  sys.exit(main())
