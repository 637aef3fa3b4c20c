"""What is known of weights that others have released.

Of a checkpoint of TF-Slim its variables tell what it expects. Beside weights
that were converted, or have a name, is written where they come from.
"""

import os

from engine.checkpoints import architecture, contents, locate, pretrained
from engine.common import console, files
from engine.config.scripts import DataConfig
from nets import nets_factory
from nets.nets_factory import Network, Released

_CONVERSION = 'conversion.json'


def of_architecture(
  found: architecture.Network | None,
) -> tuple[Network, Released] | None:
  """Returns the network that TF-Slim released with these variables.

  Args:
    found: what a checkpoint's variables tell.

  Returns:
    The network of the registry and what is known of its checkpoint; None if
    TF-Slim released none like that.
  """
  if found is None:
    return None
  for name in found.names:
    network = nets_factory.get_network(name)
    if (
      network.released
      and network.released.num_classes == found.num_classes
      and not found.options(name)
    ):
      return network, network.released
  return None


def find(network: Network, checkpoint: str) -> Released | None:
  """Returns what is known of a checkpoint, None if it is not TF-Slim's."""
  found = of_architecture(
    architecture.network(contents.read(checkpoint).values())
  )
  return found[1] if found and found[0] is network else None


def start_from(
  network: Network, checkpoint_path: str | None
) -> Released | None:
  """Returns what is known of the checkpoint that a training starts from."""
  if not checkpoint_path:
    return None
  checkpoint = locate.find(checkpoint_path, tells=False)  # the start does
  run = locate.run_of(checkpoint)
  return None if run else find(network, checkpoint)


def origin(checkpoint: str) -> dict[str, str]:
  """Returns where weights come from: their name or file, and its SHA-256.

  Returns:
    {'weights': ..., 'sha256': ...}, {} of those of a training.
  """
  folder = os.path.dirname(checkpoint)
  told = pretrained.record(folder)
  if told:
    return {'weights': told['name'], 'sha256': told['sha256']}
  if '://' in folder:
    return {}
  told = files.read_json(
    os.path.join(folder, _CONVERSION), {'source': str, 'sha256': dict[str, str]}
  )
  if not told.keys() >= {'source', 'sha256'}:
    return {}
  return {
    'weights': told['source'],
    'sha256': ' '.join(told['sha256'].values()),
  }


def tell(
  checkpoint: str,
  released: Released,
  complete: DataConfig,
  size: int,
  *more: str,
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
