"""What is known of a checkpoint that TF-Slim released."""

import os

from engine import checkpoints, console, identify, options
from engine.options import Config
from nets.nets_factory import Network, Released


def find(network: Network, checkpoint: str) -> Released | None:
  """Returns what is known of a checkpoint, None if it is not TF-Slim's."""
  released = network.released
  found = identify.network(identify.read(checkpoint).values())
  if (
    released
    and found
    and found.num_classes == released.num_classes
    and network.name in found.names
    and not found.options(network.name)
  ):
    return released
  return None


def start_from(
  network: Network, checkpoint_path: str | None
) -> Released | None:
  """Returns what is known of the checkpoint that a training starts from."""
  if not checkpoint_path:
    return None
  checkpoint = checkpoints.find(checkpoint_path)
  run = options.read(os.path.dirname(checkpoint))
  return None if run else find(network, checkpoint)


def tell(
  checkpoint: str, released: Released, complete: Config, size: int, *more: str
) -> None:
  """Says what follows from it: preprocessing, the size in pixels, and more."""
  console.note(
    f'{checkpoint} has {released.num_classes:,} classes, as TF-Slim released '
    f'{complete.model_name}: '
    + ', '.join(
      [
        f'preprocessing {complete.preprocessing_name}',
        f'images of {size}x{size}',
        *more,
      ]
    )
    + '.'
  )
