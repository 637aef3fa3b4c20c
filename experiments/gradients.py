"""Which kernels do gradients reach: plain, residual or highway networks?

  python -m experiments.gradients

Records the norm of the gradient of every kernel while the networks are trained,
and draws it as a heat map of layer and step. He et al. (arXiv:1512.03385,
section 4.1) say of plain networks that with batch norm "the backward propagated
gradients exhibit healthy norms", and that they are hard to train for another
reason; tutorials say that gradients vanish without shortcuts.
"""

import dataclasses
import sys

from engine.config.fields import option
from experiments import common


@dataclasses.dataclass(frozen=True)
class GradientsConfig(common.ComparisonConfig):
  """The norm of the gradient of every kernel, over a training.

  Writes gradients.csv, gradients.png, curves.csv and curves.png, and a folder
  with checkpoints and log.txt for every run. The same command resumes where it
  was stopped.
  """

  experiment, target = 'gradients', 'experiments.gradient_norms:run'
  model_name: str = common.preset(
    'model_name', 'cifar_plain_56,cifar_residual_56,cifar_highway_56'
  )
  seeds: int = option(
    1,
    'The number of seeds, from --seed on; the image '
    'shows the geometric mean of them.',
    low=1,
  )
  measure_every: int = option(
    4, 'Steps between two measurements, from step 0 on.', low=1
  )
  max_number_of_steps: int | None = common.preset('max_number_of_steps', 200)
  evaluate_every: str | None = common.preset('evaluate_every', '100')
  # Else its gradient hides those that vanish.
  weight_decay: float = common.preset('weight_decay', 0.0)


def main(argv: list[str] | None = None) -> int:
  """Runs the experiment as the flags say; returns the exit status."""
  return common.start(GradientsConfig, argv)


if __name__ == '__main__':
  sys.exit(main())
