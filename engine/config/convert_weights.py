"""The configuration of a conversion of weights.

Nothing here imports TensorFlow.
"""

import dataclasses

from engine.config.fields import Config, Group, option

# What a checkpoint of ours has in its variables, or in its config.json.
_OF_SOURCES = (
  'root_block',
  'name_map',
  'num_classes',
  'preprocessing_name',
  'image_size',
  'labels_offset',
  'batch_norm_epsilon',
)


@dataclasses.dataclass(frozen=True)
class ConvertWeightsConfig(Config):
  """Makes a checkpoint of the weights of another library, or the reverse.

  What `convert_weights.py` is told.
  """

  arguments = '--source=FILE --output=FOLDER'
  examples = (
    '--source=resnet50_weights_tf_dim_ordering_tf_kernels.h5 --output=keras50',
    '--source=model.safetensors --output=timm50 '
    '--preprocessing_name=timm_bicubic',
    '--source=thin.npz --name_map=names.csv --output=thin',
    '--source=runs/mine --to=keras --output=mine.h5',
  )

  source: str = option(
    None,
    'The weights: .h5, .weights.h5, .keras, .safetensors, .pth, .npz, or a '
    "checkpoint of slim's networks.",
    group=Group.DATA,
  )
  output: str = option(
    None,
    'The folder to write, which is new or empty; with --to a file, which is '
    'new.',
    folder=True,
    group=Group.OUTPUT,
  )
  to: str | None = option(
    None,
    'Write a checkpoint, or that of a run, for another library instead: keras '
    '(.h5, .weights.h5), torch (.pth) or safetensors.',
    group=Group.OUTPUT,
  )
  model_name: str | None = option(
    None, 'The network. Default: what names and shapes tell.', group=Group.MODEL
  )
  root_block: str | None = option(
    None,
    'With --name_map: the first convolutions. Default: what the variables '
    'tell.',
    group=Group.MODEL,
  )
  name_map: str | None = option(
    None,
    'CSV of the name of an array, our name of a variable, and yes or no for '
    'transposed axes, for names that are not known.',
    group=Group.DATA,
  )
  num_classes: int | None = option(
    None,
    'The number of logits that the source must have. Default: any.',
    low=1,
    group=Group.DATA,
  )
  preprocessing_name: str | None = option(
    None,
    "The preprocessing of the source. Default: its library's.",
    group=Group.DATA,
  )
  image_size: int | None = option(
    None,
    "Height and width of the source's images, in pixels. Default: 224.",
    low=1,
    group=Group.DATA,
  )
  labels_offset: int | None = option(
    None,
    "Subtracted from every label. Default: 1 for ImageNet's 1000 classes of "
    'other libraries.',
    low=0,
    group=Group.DATA,
  )
  batch_norm_epsilon: float | None = option(
    None,
    "What batch norm adds to variances. Default: the library's.",
    above=0,
    below=1,
    group=Group.BATCH_NORM,
  )

  def __post_init__(self):
    super().__post_init__()
    for name in _OF_SOURCES if self.to is not None else ():
      if getattr(self, name) is not None:
        raise ValueError(
          f'--{name} is for the weights of another library, and --to={self.to} '
          'writes some: leave one of both out.'
        )
    if self.root_block is not None and self.name_map is None:
      raise ValueError(
        '--root_block is for --name_map: the names of a library tell its root.'
      )
