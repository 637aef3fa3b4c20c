"""The configuration of an export, and the registry of formats.

Nothing here imports TensorFlow.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from datasets.label_kinds import CLASSIFICATION, SEGMENTATION
from datasets.suggestions import did_you_mean
from engine.config import parsing
from engine.config.fields import Group, option
from engine.config.parts.model import ModelConfig

INPUTS = ('encoded', 'image', 'preprocessed')


class Format(NamedTuple):
  """A format that a network is exported in.

  Fields:
    writer: where the function is that writes it, 'module:function'; see
      `engine.export.artefact.Artefact`.
    inputs: the kinds of input it takes, out of `INPUTS`; the first is the
      default.
    any_size: whether an input may have images of any size.
    texts: whether an output may be text, such as the names of classes.
    quantizations: the values of --quantize that it takes.
    modules: what it needs besides TensorFlow.
    facts: what model.json says of the format itself.
  """

  writer: str
  inputs: tuple[str, ...] = ('image', 'preprocessed')
  any_size: bool = False
  texts: bool = False
  quantizations: tuple[str, ...] = ()
  modules: tuple[str, ...] = ()
  facts: Mapping[str, Any] = MappingProxyType({})


FORMATS = {
  'saved_model': Format(
    'engine.export.tensorflow_formats:write_saved_model',
    inputs=INPUTS,
    any_size=True,
    texts=True,
  ),
  'frozen_graph': Format('engine.export.tensorflow_formats:write_frozen_graph'),
  'tflite': Format(
    'engine.export.tflite:write', quantizations=('float16', 'int8')
  ),
  'onnx': Format(
    'engine.export.onnx_format:write',
    modules=('tf2onnx', 'onnx', 'onnxruntime'),
    facts={'opset': 17},
  ),
}


class Tolerance(NamedTuple):
  """How far what an artefact says may be from what the checkpoint says.

  Fields:
    error: the largest difference over the largest value, of numbers; None if
      it does not count.
    agreement: the least share of first classes, or of pixels, that are the
      same.
    miou: the least mIOU of the two masks.
    cure: what to try where it is further.
  """

  error: float | None
  agreement: float
  miou: float
  cure: str


_SAME = 'report it, since it should be the same network, and'
# --quantize -> tolerance. Ties of the first class may fall to either side.
TOLERANCES = {
  None: Tolerance(
    1e-4, 0.998, 0.98, f'{_SAME} export in another --format meanwhile'
  ),
  'float16': Tolerance(1e-2, 0.98, 0.95, 'leave --quantize out'),
  'int8': Tolerance(
    None,
    0.98,
    0.9,
    'calibrate on more images with --calibration_examples, or pass '
    '--quantize=float16, or leave --quantize out',
  ),
}


@dataclasses.dataclass(frozen=True)
class ExportConfig(ModelConfig):
  """Writes a network for other runtimes, and compares it with its checkpoint.

  What `export_inference_graph.py` is told.
  """

  examples = (
    '--checkpoint_path=runs/resnet_v2_50-digits',
    '--checkpoint_path=runs/resnet_v2_50-digits --format=tflite '
    '--quantize=int8',
    '--model_name=resnet_v2_50 --dataset_name=imagenet --output_file=graph.pb',
  )

  checkpoint_path: str | None = option(
    None,
    'The checkpoint, a run folder whose newest is taken, or a name such as '
    'pretrained:resnet_v1_50. Default: none, which writes an untrained graph.',
    group=Group.OUTPUT,
  )
  format: tuple[str, ...] = option(
    ('saved_model',),
    f'Formats, comma-separated, of {", ".join(FORMATS)}.',
    form=parsing.NAMES,
    group=Group.OUTPUT,
  )
  output_dir: str = option(
    None,
    'Where a folder for each format is written. Default: export, beside the '
    'checkpoint.',
    folder=True,
    group=Group.OUTPUT,
  )
  model_name: str = option(
    None,
    "The network. Default: the run's; required for a checkpoint without a run.",
    group=Group.MODEL,
  )
  input: str | None = option(
    None,
    'What goes in: files as encoded bytes, uint8 images, or what the network '
    'itself takes. Default: encoded for saved_model, image for others.',
    choices=INPUTS,
    group=Group.MODEL,
  )
  image_size: tuple[int, int] | None = option(
    None,
    'Height and width of the images that go in, such as 256 or 513,769, where '
    'a format needs one size. Default: what the preprocessing does not resize.',
    form=parsing.SIZE,
    group=Group.MODEL,
  )
  batch_size: int | None = option(
    None, 'Images at once. Default: any number.', low=1, group=Group.MODEL
  )
  logits: bool = option(
    False,
    'Put out logits beside the classes of pixels.',
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  end_point: str | None = option(
    None,
    'Put out the features of this end point alone, such as '
    'resnet_v2_50/block4. Default: predictions.',
    group=Group.MODEL,
  )
  quantize: str | None = option(
    None,
    'tflite: float16 weights, or all in int8, calibrated on training images. '
    'Default: float32.',
    form=parsing.QUANTIZATION,
    group=Group.MODEL,
    switch=True,
  )
  calibration_examples: int = option(
    100, 'Training images that int8 is calibrated on.', low=1, group=Group.DATA
  )
  parity_examples: int = option(
    32,
    'Evaluation examples that artefact and checkpoint are compared on.',
    low=1,
    group=Group.EVALUATION,
  )
  raw_weights: bool = option(
    False,
    'Export the weights themselves although the run has moving averages.',
    group=Group.EVALUATION,
  )
  dataset_name: str | None = option(
    None,
    "The dataset. Default: the run's. Without a checkpoint its number of "
    'classes counts, of imagenet by default.',
    group=Group.DATA,
  )
  dataset_dir: str | None = option(
    None,
    "The folder of TFRecords. Default: the run's.",
    folder=True,
    remote=True,
    group=Group.DATA,
  )
  labels_offset: int | None = option(
    None,
    "Classes fewer than the dataset has. Default: the run's, else 0.",
    low=0,
    task=CLASSIFICATION,
    group=Group.DATA,
  )
  labels_file: str | None = option(
    None,
    'Class names: lines such as 0:chef, or JSON such as {"0": "chef"}. '
    "Default: the run's.",
    group=Group.DATA,
  )
  preprocessing_name: str = option(
    None,
    "The preprocessing. Default: the run's, else the network's.",
    group=Group.DATA,
  )
  eval_image_size: int = option(
    None,
    "Height and width of the network's own input, in pixels. Default: the "
    "run's, else the network's.",
    low=1,
    task=CLASSIFICATION,
    group=Group.DATA,
  )
  eval_crop_size: tuple[int, int] | None = option(
    None,
    "The default of --image_size. Default: the run's train_crop_size, else "
    '513.',
    form=parsing.SIZE,
    task=SEGMENTATION,
    group=Group.SEGMENTATION,
  )
  use_grayscale: bool = option(
    None, 'Feed images of one channel. Default: as trained.', group=Group.DATA
  )
  output_file: str | None = option(
    None, 'Where the untrained graph is written.', group=Group.OUTPUT
  )
  is_training: bool = option(
    False, 'Write the untrained graph as it is trained.', group=Group.OUTPUT
  )
  write_text_graphdef: bool = option(
    False, 'Write the untrained graph as text.', group=Group.OUTPUT
  )

  def __post_init__(self):
    super().__post_init__()
    for name in self.format:
      if name not in FORMATS:
        raise ValueError(
          f'--format={self.text("format")}: there is no format {name}.'
          f'{did_you_mean(name, FORMATS, n=1)} The formats are '
          f'{", ".join(FORMATS)}.'
        )
      self._check(name, FORMATS[name])
    if self.quantize not in TOLERANCES:
      known = [name for name in TOLERANCES if name]
      raise ValueError(
        f'--quantize={self.quantize} is unknown. It can be {", ".join(known)}.'
      )
    given = self.given()
    if self.checkpoint_path is None and not self.list_pretrained:
      self._check_untrained(given)
    for name in ('output_file', 'is_training', 'write_text_graphdef'):
      if name in given and self.checkpoint_path is not None:
        raise ValueError(
          f'--{name} is for a graph without weights: leave it out, or '
          '--checkpoint_path.'
        )

  def _check(self, name, entry):
    if self.input and self.input not in entry.inputs:
      raise ValueError(
        f'--format={name} takes no --input={self.input}: it can be '
        f'{", ".join(entry.inputs)}.'
      )
    if self.quantize and self.quantize not in entry.quantizations:
      able = [each for each in FORMATS if FORMATS[each].quantizations]
      raise ValueError(
        f'--quantize={self.quantize} is for {", ".join(able)}, and --format '
        f'has {name}: export that by a command of its own.'
      )

  def _check_untrained(self, given):
    if self.output_file is None or self.model_name is None:
      raise ValueError(
        '--checkpoint_path is missing: the folder of a run, or a checkpoint. '
        'For a graph without weights, pass --model_name and --output_file.'
      )
    for name in ('format', 'output_dir', 'input', 'quantize', 'end_point'):
      if name in given:
        raise ValueError(
          f'--{name} is for a checkpoint: pass --checkpoint_path too, or leave '
          'it out.'
        )

  def input_of(self, name: str) -> str:
    """Returns what goes into a format."""
    return self.input or FORMATS[name].inputs[0]
