"""The configuration of the optimization: optimizer, gradients, schedule.

Nothing here imports TensorFlow, so that a mistaken flag is answered at once.
"""

import dataclasses

from engine import forms
from engine.optimizers import OPTIMIZERS
from engine.options import Config, option
from engine.schedules import SCHEDULES
from engine.selection import METRICS


@dataclasses.dataclass(frozen=True)
class OptimizationConfig(Config):
  """How weights follow from gradients."""

  optimizer: str = option(
    'momentum', 'The optimizer.', choices=tuple(OPTIMIZERS), changes='never'
  )
  learning_rate: float | None = option(
    None, 'The initial learning rate.', above=0, otherwise=0.01
  )
  learning_rate_decay_type: str | None = option(
    None,
    'How the learning rate falls.',
    choices=tuple(SCHEDULES),
    otherwise='exponential',
  )
  end_learning_rate: float = option(
    0.0001, 'The last learning rate of a polynomial decay or a cosine.', low=0
  )
  learning_rate_decay_factor: float = option(
    0.94, 'The factor of an exponential decay.', above=0
  )
  num_epochs_per_decay: float | None = option(
    None,
    'Epochs between two exponential decays, or of the whole polynomial one.',
    above=0,
    otherwise=2.0,
  )
  weight_decay: float = option(
    0.00004,
    'The L2 weight of kernels. With adamw and lars the optimizer '
    'decays them, and the loss has no L2 term; 0.05 is usual for adamw.',
    low=0,
  )
  label_smoothing: float = option(
    0.0,
    'The share of a label spread over all classes.',
    low=0,
    high=1,
    task='classification',
  )
  momentum: float = option(
    0.9, 'The momentum of the momentum optimizer. Also that of lars.', low=0
  )
  adadelta_rho: float = option(0.95, 'The decay of adadelta.', low=0, high=1)
  adagrad_initial_accumulator_value: float = option(
    0.1, "The start of adagrad's accumulators.", above=0
  )
  adam_beta1: float = option(
    0.9, "The decay of adam's and adamw's first moment.", low=0, high=1
  )
  adam_beta2: float = option(
    0.999, "The decay of adam's and adamw's second moment.", low=0, high=1
  )
  opt_epsilon: float = option(
    1e-8,
    'Added to a denominator by adadelta, adam, adamw and rmsprop.',
    above=0,
  )
  ftrl_learning_rate_power: float = option(
    -0.5, 'The learning rate power of ftrl.', high=0
  )
  ftrl_initial_accumulator_value: float = option(
    0.1, "The start of ftrl's accumulators.", low=0
  )
  ftrl_l1: float = option(0.0, 'The L1 weight of ftrl.', low=0)
  ftrl_l2: float = option(0.0, 'The L2 weight of ftrl.', low=0)
  rmsprop_momentum: float = option(0.9, 'The momentum of rmsprop.', low=0)
  rmsprop_decay: float = option(0.9, 'The decay of rmsprop.', low=0, high=1)
  moving_average_decay: float | None = option(
    None,
    'Also keep moving averages of all weights, of this decay.',
    low=0,
    high=1,
    changes='never',
  )
  lars_trust_coefficient: float = option(
    0.001,
    'The trust coefficient of lars: a step changes a kernel by about '
    'this share of its norm, times the learning rate.',
    above=0,
  )
  decay_norm_and_bias: bool = option(
    False,
    "Apply --weight_decay to batch norm's gamma and beta and to "
    'biases too; TF-Slim does not.',
  )
  clip_gradients_norm: float | None = option(
    None,
    'Scale the gradients down to this norm of all together, after '
    '--clip_gradients_value.',
    above=0,
  )
  clip_gradients_value: float | None = option(
    None, 'Clip each element of the gradients to this size.', above=0
  )
  learning_rate_multipliers: str | None = option(
    None,
    'Factors on the learning rate of scopes, such as '
    'resnet_v1_50/logits=10,resnet_v1_50/block1=0.1; the longest scope '
    'counts, and 0 leaves its weights alone.',
    form=forms.factors,
  )
  num_micro_batches: int = option(
    1,
    'Compute the gradient of a batch in so many parts, one after the '
    'other, for less memory.',
    low=1,
  )
  precision: str = option(
    'fp32',
    'What convolutions are computed in; weights are float32 always. '
    'bf16 needs a CPU with AMX, and is refused where it would be slower.',
    choices=('fp32', 'bf16'),
  )
  zero_init_last_gamma: bool = option(
    False,
    'Begin with residual units that are the identity: gamma of their '
    'last batch norm is 0 (resnet_v1; units of resnet_v2 end without one).',
  )

  # The schedule.
  warmup: str | None = option(
    None,
    'The length of a linear warm-up, such as 500 or 5epochs; the '
    'schedule follows it, but boundaries count from the start.',
    form=forms.length,
  )
  warmup_learning_rate: float = option(0.0, 'Where the warm-up begins.', low=0)
  learning_rate_boundaries: str | None = option(
    None,
    'piecewise: where the learning rate changes, such as 32000,48000 '
    'or 80epochs,120epochs.',
    form=forms.lengths,
  )
  learning_rate_factors: str | None = option(
    None,
    'piecewise: what the initial learning rate is multiplied by from '
    'each boundary on. Default: 0.1,0.01,...',
    form=forms.positives,
  )
  plateau_patience: int | None = option(
    None,
    'Lower the learning rate after so many evaluations without a '
    'better --plateau_metric.',
    low=1,
  )
  plateau_metric: str = option(
    'loss',
    'The figure of the evaluation that must get better.',
    choices=tuple(METRICS),
  )
  plateau_factor: float = option(
    0.1**0.5, 'What it is multiplied by then.', above=0, high=1
  )
  plateau_end_learning_rate: float = option(
    0.5e-6, 'The learning rate is not lowered below this.', low=0
  )
