"""How weights follow from gradients: optimizer, gradients, schedule.

Nothing here imports TensorFlow.
"""

import dataclasses
import functools

from datasets.label_kinds import CLASSIFICATION
from engine.config import fields, optimizers, parsing, schedules, tasks
from engine.config.fields import Config, Group

option = functools.partial(fields.option, group=Group.OPTIMIZATION)


@dataclasses.dataclass(frozen=True)
class OptimizationConfig(Config):
  """How weights follow from gradients."""

  optimizer: str = option(
    'momentum', 'The optimizer.', choices=optimizers.OPTIMIZERS, changes='never'
  )
  learning_rate: float = option(
    None, 'The initial learning rate.', above=0, otherwise=0.01
  )
  learning_rate_decay_type: str = option(
    None,
    'The schedule of the learning rate.',
    choices=schedules.SCHEDULES,
    otherwise='exponential',
  )
  end_learning_rate: float = option(
    0.0001, 'polynomial, cosine: the final learning rate.', low=0
  )
  learning_rate_decay_factor: float = option(
    0.94, 'exponential: the factor of one decay.', above=0
  )
  num_epochs_per_decay: float = option(
    None,
    'exponential: epochs between two decays. polynomial: epochs of the '
    'whole decay.',
    above=0,
    otherwise=2.0,
  )
  num_steps_per_decay: int | None = option(
    None,
    'exponential: steps between two decays. polynomial: steps of the whole '
    'decay. Default: by --num_epochs_per_decay.',
    low=1,
  )
  learning_power: float = option(
    1.0,
    'polynomial: power of the share of the decay that is left; 1 is a '
    'straight line, DeepLab has 0.9.',
    above=0,
  )
  weight_decay: float = option(
    0.00004,
    'L2 weight of kernels. adamw and lars decay them in the update '
    'instead; 0.05 is usual for adamw.',
    low=0,
  )
  label_smoothing: float = option(
    0.0,
    'Share of each label that is spread evenly over all classes.',
    low=0,
    high=1,
    task=CLASSIFICATION,
  )
  dropout_rate: float = option(
    0.0,
    'Share of the values that are set to 0 at random before the logits, in '
    'training; 0.1 is usual for masks, 0 is off.',
    low=0,
    below=1,
  )
  momentum: float = option(0.9, 'momentum, lars: the momentum.', low=0)
  adadelta_rho: float = option(
    0.95, 'adadelta: decay of its averages.', low=0, high=1
  )
  adagrad_initial_accumulator_value: float = option(
    0.1, 'adagrad: initial value of the accumulators.', above=0
  )
  adam_beta1: float = option(
    0.9, 'adam, adamw: decay of the first moment.', low=0, high=1
  )
  adam_beta2: float = option(
    0.999, 'adam, adamw: decay of the second moment.', low=0, high=1
  )
  opt_epsilon: float = option(
    1e-8, 'adadelta, adam, adamw, rmsprop: added to the denominator.', above=0
  )
  ftrl_learning_rate_power: float = option(
    -0.5, 'ftrl: power of the learning rate.', high=0
  )
  ftrl_initial_accumulator_value: float = option(
    0.1, 'ftrl: initial value of the accumulators.', low=0
  )
  ftrl_l1: float = option(0.0, 'ftrl: L1 weight.', low=0)
  ftrl_l2: float = option(0.0, 'ftrl: L2 weight.', low=0)
  rmsprop_momentum: float = option(0.9, 'rmsprop: the momentum.', low=0)
  rmsprop_decay: float = option(
    0.9, 'rmsprop: decay of the squared gradients.', low=0, high=1
  )
  moving_average_decay: float | None = option(
    None,
    'Also keep moving averages of the weights, with this decay. Default: none.',
    low=0,
    high=1,
    changes='never',
  )
  lars_trust_coefficient: float = option(
    0.001,
    'lars: a step changes a kernel by about this share of its norm, times '
    'the rate.',
    above=0,
  )
  decay_norm_and_bias: bool = option(
    False,
    'Apply --weight_decay to gamma, beta and biases too; TF-Slim does not.',
  )
  clip_gradients_norm: float | None = option(
    None,
    'Largest global norm of the gradients, applied after '
    '--clip_gradients_value. Default: none.',
    above=0,
  )
  clip_gradients_value: float | None = option(
    None,
    'Largest absolute value of each element of a gradient. Default: none.',
    above=0,
  )
  learning_rate_multipliers: dict[str, float] | None = option(
    None,
    'Factors by scope, such as resnet_v1_50/logits=10; the longest match '
    'counts, 0 freezes.',
    form=parsing.FACTORS,
  )
  num_micro_batches: int = option(
    1,
    'Compute the gradient of a batch in this many parts, to save memory.',
    low=1,
    group=Group.MACHINE,
  )
  precision: str = option(
    'fp32',
    'Precision of convolutions; weights stay float32. bf16 needs a GPU, or a '
    'CPU with AMX; fp16 a GPU.',
    choices=('fp32', 'bf16', 'fp16'),
    group=Group.MACHINE,
  )
  tf32: bool = option(
    True,
    'On a GPU, let float32 be multiplied as TensorFloat-32, with 10 bits '
    'after the point.',
    group=Group.MACHINE,
  )
  deterministic: bool = option(
    True,
    'On a GPU, take only kernels that give the same bits each time: resuming '
    'is then exact.',
    changes='free',
    group=Group.MACHINE,
  )
  zero_init_last_gamma: bool = option(
    False,
    'Start residual units of resnet_v1 as the identity: last gamma of each '
    'is 0.',
  )
  warmup: parsing.Length | None = option(
    None,
    'Length of a warm-up before the schedule, such as 500 or 5epochs. '
    'Default: none.',
    form=parsing.LENGTH,
  )
  warmup_type: str = option(
    'linear',
    'How the warm-up goes on: linear, to the initial rate, or constant.',
    choices=schedules.WARMUPS,
  )
  warmup_learning_rate: float = option(
    0.0, 'Learning rate at the start of the warm-up.', low=0
  )
  learning_rate_boundaries: tuple[parsing.Length, ...] | None = option(
    None,
    'piecewise: where the rate changes, such as 32000,48000 or '
    '80epochs,120epochs.',
    form=parsing.LENGTHS,
  )
  learning_rate_factors: tuple[float, ...] | None = option(
    None,
    'piecewise: factors on the initial rate after each boundary. Default: '
    '0.1,0.01,...',
    form=parsing.POSITIVES,
  )
  plateau_patience: int | None = option(
    None,
    'Lower the learning rate after this many evaluations without progress. '
    'Default: never.',
    low=1,
  )
  plateau_metric: str = option(
    'loss',
    'The metric of evaluation whose progress --plateau_patience watches.',
    choices=tasks.metrics,
  )
  plateau_factor: float = option(
    0.1**0.5, 'Factor on the learning rate at a plateau.', above=0, high=1
  )
  plateau_end_learning_rate: float = option(
    0.5e-6, 'Lowest learning rate that a plateau leads to.', low=0
  )
