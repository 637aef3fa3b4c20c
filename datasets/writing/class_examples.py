"""Examples with a class each, as they are written."""

from datasets import dataset_utils
from datasets.images.image_files import EncodedImage
from datasets.writing.plan import Item, Labelled, Plan


def make_example(item: Item, image: EncodedImage, plan: Plan) -> Labelled:
  """Returns what is written of an item that has a label.

  Args:
    item: the item.
    image: as it is written.
    plan: that of the item.
  """
  return Labelled(
    dataset_utils.image_to_tfexample(
      image.data,
      image.format,
      image.height,
      image.width,
      item.label,
      {
        'image/filename': item.name.encode(),
        'image/class/text': plan.class_names[item.label].encode(),
        **item.features,
      },
    ),
    [item.label],
  )
