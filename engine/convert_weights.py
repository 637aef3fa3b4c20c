"""Converts weights between other libraries' files and checkpoints of ours."""

from engine.checkpoints.convert import conversion, writing
from engine.checkpoints.convert.conversion import Converted
from engine.checkpoints.convert.writing import Written
from engine.common import console, runtime
from engine.config.convert_weights import ConvertWeightsConfig


@runtime.graph_building()
def convert(given: ConvertWeightsConfig) -> Converted | Written:
  """Makes a checkpoint of weights, or weights of one, and says what it is.

  Args:
    given: the source, and where to write.

  Returns:
    What was written.

  Raises:
    ValueError: see `conversion.convert` and `writing.write`.
  """
  for name in ('source', 'output'):
    if not getattr(given, name):
      raise ValueError(
        f'--{name} is missing: python convert_weights.py --source=FILE '
        '--output=FOLDER'
      )
  if given.to is not None:
    written = writing.write(
      given.source, given.to, given.output, given.model_name
    )
    console.say('\n'.join(writing.describe(written)))
    return written
  converted = conversion.convert(
    given.source,
    given.output,
    given.model_name,
    given.name_map,
    given.num_classes,
    root_block=given.root_block,
    preprocessing_name=given.preprocessing_name,
    train_image_size=given.image_size,
    labels_offset=given.labels_offset,
    batch_norm_epsilon=given.batch_norm_epsilon,
  )
  console.say('\n'.join(conversion.describe(converted)))
  return converted
