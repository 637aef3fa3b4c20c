"""The flag of a model that was exported, and which others go with it.

Nothing here imports TensorFlow.
"""

import dataclasses
from typing import ClassVar

from engine.config.fields import Config, Group, option

_INSTEAD = 'leave it out, or pass --checkpoint_path instead of --exported.'
_CHOOSES = f'chooses among the checkpoints of a run: {_INSTEAD}'
_VIEWS = (
  'looks at an image several times, and an exported model looks at it as it '
  f'is: {_INSTEAD}'
)
_BATCH_NORM = (
  'measures batch norm, which is a part of the weights in an exported model: '
  f'{_INSTEAD}'
)
_GRADIENTS = f'needs gradients, which an exported model lacks: {_INSTEAD}'
# Why a flag does not go with --exported; others are fixed in the model.
_REASONS = {
  'checkpoint_path': (
    'names a checkpoint, and --exported a model that was made of one: leave '
    'one of both out.'
  ),
  'checkpoints': _CHOOSES,
  'timeout_secs': _CHOOSES,
  'eval_crop_size': _VIEWS,
  'flip': _VIEWS,
  'ten_crop': _VIEWS,
  'scales': _VIEWS,
  'recalibrate_batch_norm_batches': _BATCH_NORM,
  'compare_batch_statistics': _BATCH_NORM,
  'write_source_values': (
    f'needs what a run says of the masks that it was trained on: {_INSTEAD}'
  ),
  'explain': _GRADIENTS,
  'explain_class': _GRADIENTS,
  'explain_stride': _GRADIENTS,
  'explain_dir': _GRADIENTS,
  'cache': f'keeps images for another pass, and there is one: {_INSTEAD}',
}
_FIXED = (
  'is fixed in an exported model: leave it out, or export the model again.'
)


@dataclasses.dataclass(frozen=True)
class ExportedConfig(Config):
  """Runs an exported model instead of a checkpoint.

  Attributes:
    with_exported: the flags that go with --exported, besides those that have
      lost their meaning.
  """

  with_exported: ClassVar[tuple[str, ...]] = ()

  exported: str | None = option(
    None,
    'An exported model instead of a checkpoint: the folder of a format, such '
    'as RUN/export/tflite. Default: none.',
    group=Group.OUTPUT,
  )

  def __post_init__(self):
    super().__post_init__()
    if self.exported is None:
      return
    fields = self.__dataclass_fields__
    for name in self.given():
      if (
        name not in (*self.with_exported, 'exported', 'task', 'verbosity')
        and not fields[name].metadata['now']
      ):
        raise ValueError(f'--{name} {_REASONS.get(name, _FIXED)}')
