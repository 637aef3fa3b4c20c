"""The way back: a checkpoint of ours as weights that other libraries load.

Only what computes the same there is written: what a library has no counterpart
of is refused, with the part that it is.
"""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from engine.checkpoints import architecture, contents, locate
from engine.checkpoints.convert import (
  naming,
  proof,
  writing_keras,
  writing_torch,
)
from engine.common import files
from engine.common.variables import some
from nets import decoders, nets_factory, resnet_cifar

# Our networks, and what calls them in the libraries.
KERAS = {
  f'resnet_v{version}_{depth}': f'keras.applications.ResNet{depth}{suffix}'
  for version, suffix in ((1, ''), (2, 'V2'))
  for depth in (50, 101, 152)
}
_TIMM = 'timm.create_model'
TORCH = {
  **{f'resnet_v1_{n}': f'torchvision.models.resnet{n}' for n in (18, 34)},
  **{
    f'resnet_v1_5_{n}': f'torchvision.models.resnet{n}' for n in (50, 101, 152)
  },
  'wide_resnet_50_2': 'torchvision.models.wide_resnet50_2',
  'wide_resnet_101_2': 'torchvision.models.wide_resnet101_2',
  'resnext_50_32x4d': 'torchvision.models.resnext50_32x4d',
  'resnext_101_32x8d': 'torchvision.models.resnext101_32x8d',
  'resnext_101_64x4d': 'torchvision.models.resnext101_64x4d',
  **{
    f'resnet_v1d_{n}': f"{_TIMM}('resnet{n}d')" for n in (18, 34, 50, 101, 152)
  },
}


class Format(NamedTuple):
  """A format that can be written.

  Fields:
    library: whose it is, for messages.
    networks: our networks that the library has, and what calls them there.
    write: writes arrays by name to a path.
    check: refuses a path, before anything is read.
  """

  library: str
  networks: Mapping[str, str]
  write: Callable[[str, Mapping[str, np.ndarray]], None]
  check: Callable[[str], None]


# What --to takes.
FORMATS: dict[str, Format] = {
  'keras': Format(
    'Keras', KERAS, writing_keras.write, writing_keras.check_path
  ),
  'torch': Format(
    'PyTorch', TORCH, writing_torch.write_pth, writing_torch.check_torch
  ),
  'safetensors': Format(
    'PyTorch',
    TORCH,
    writing_torch.write_safetensors,
    writing_torch.check_safetensors,
  ),
}
# A form of names -> the root that its networks have.
_ROOTS = {
  'keras_v1': '7x7_symmetric',
  'keras_v2': '7x7_symmetric',
  'torch': '7x7_symmetric',
  'torch_d': 'deep',
}
# Where a unit of bottlenecks strides, which its variables do not tell.
_STRIDES = {
  'Keras': (
    'it strides the first 3x3 convolution of a block, and Keras the 1x1 before '
    'it'
  ),
  'PyTorch': (
    'it strides by 1x1 convolutions, as first published, and PyTorch by the '
    'first 3x3 of a block, as resnet_v1_5_50 does'
  ),
}


class Written(NamedTuple):
  """What was written.

  Fields:
    path: of the file.
    checkpoint: what it was made of.
    network: ours.
    counterpart: what calls the network in the library.
    form: a key of `naming.FORMS`.
    num_classes: how many logits it has; None for none.
    notes: sentences on what the file does not hold.
    proof: how it compares with the checkpoint.
  """

  path: str
  checkpoint: str
  network: str
  counterpart: str
  form: str
  num_classes: int | None
  notes: list[str]
  proof: proof.Result


def _refuse(name, library, reason, cure=''):
  raise ValueError(
    f'{name} has no counterpart in {library}: {reason}. {cure}'.rstrip()
  )


def _check_network(name, told):
  """Refuses a network that a library does not have."""
  if name in told.networks:
    return
  others = {**KERAS, **TORCH}
  reason = (
    'it is a network for CIFAR'
    if resnet_cifar.split(name)
    else _STRIDES[told.library]
    if name in others and (name in KERAS or name.startswith('resnet_v1_5_'))
    else 'there is no such network'
  )
  if name in KERAS and nets_factory.get_network(name).unit == 'bottleneck_v2':
    reason = 'its units normalize before they convolve, and none there do'
  _refuse(
    name, told.library, reason, f'It has those of {", ".join(told.networks)}.'
  )


_ROOT_REASONS = {
  '7x7': (
    "its root pads the max pooling at the end alone ('SAME', as TF-Slim "
    'published it) and {library} on every side: with the same variables the '
    'values would be others'
  )
}


def _check_options(name, options, form, library, epsilon):
  """Refuses what the networks of a form do not have: roots, shortcuts, ..."""
  wanted, root = _ROOTS[form], options['root_block']
  if root != wanted:
    reason = _ROOT_REASONS.get(
      root, f'there is no root like --root_block={root}'
    ).format(library=library)
    _refuse(
      name, library, reason, f'A network with --root_block={wanted} has one.'
    )
  own = nets_factory.get_network(name).options.get('shortcut')
  shortcut = options.get('shortcut')
  if own and shortcut not in (None, own.default):
    _refuse(name, library, f'its shortcuts are of the kind {shortcut}')
  theirs = naming.get_form(form).batch_norm_epsilon
  if epsilon is not None and abs(epsilon - theirs) > 1e-7:
    _refuse(
      name,
      library,
      f'its batch norm adds {epsilon:g} to variances, and there it is '
      f'{theirs:g}',
    )


def _identify(checkpoint, held, run, model_name):
  """Returns what the variables tell, the network's name and its options."""
  values = held.values()
  found = architecture.network(values)
  name = model_name or run.get('model_name')
  if found is None or not (found.names or name):
    raise ValueError(
      f'The checkpoint {checkpoint} is of none of the residual networks here.'
    )
  if found.channels is None:
    raise ValueError(
      f'The checkpoint {checkpoint} lacks the first convolution of its '
      'network: name one that is complete.'
    )
  if name is None and len(found.names) > 1:
    raise ValueError(
      f'The checkpoint {checkpoint} may be of {" or ".join(found.names)}: say '
      'which by --model_name.'
    )
  name = name or found.names[0]
  known = nets_factory.get_network(name)
  options = {
    option: run.get(option) or found.options(name).get(option) or told.default
    for option, told in known.options.items()
  }
  return found, name, options


def _check_parts(checkpoint, name, library, found, held, run):
  """Refuses what a file of weights has no place for."""
  parts = [each for each in held.values() if decoders.is_part(each)]
  if run.get('decoder') or parts:
    parts = parts or ['logits of every pixel']
    _refuse(f'The decoder of {checkpoint}', library, f'it has {some(parts)}')
  if run.get('multi_grid'):
    _refuse(
      name, library, 'the last block is dilated by the --multi_grid of the run'
    )
  if found.channels != 3:
    _refuse(
      name,
      library,
      f'its images have {found.channels} channels, and there they have 3',
    )
  width = architecture.width(found)
  if width != 1:
    _refuse(name, library, f'it has {width:g} times the published channels')
  if found.num_classes is None and library == 'PyTorch':
    _refuse(name, library, 'it has no logits, and there they are always there')


def arrays_of(
  form: str, values: Mapping[str, np.ndarray], step: int = 0
) -> dict[str, np.ndarray]:
  """Returns the arrays of another library for the values of ours.

  Args:
    form: a key of `naming.FORMS`.
    values: of all variables of the network, by their names without its scope.
    step: how many batches a batch norm has seen, where the library counts them.

  Raises:
    ValueError: a variable has no counterpart.
  """
  found: dict[str, np.ndarray] = {}
  lost = []
  for name, value in values.items():
    source = naming.source(form, name)
    if source is None:
      lost.append(name)
      continue
    found[source.name] = np.ascontiguousarray(
      source.from_slim(np.asarray(value, np.float32))
    )
    bias = naming.bias_of_norm(form, name)
    if bias:
      found[bias] = np.zeros_like(value, np.float32)
    layer, _, kind = source.name.rpartition('.')
    if kind == 'running_mean':
      found[f'{layer}.num_batches_tracked'] = np.array(step, np.int64)
  if lost:
    raise ValueError(
      f'{len(lost)} variables have no counterpart in '
      f'{naming.get_form(form).library}: {some(lost)}.'
    )
  return found


def _notes(run, held, scope, averaged, library):
  if averaged:
    yield (
      'the file has room for one set of weights: it holds the moving averages, '
      'as they are evaluated.'
    )
  others = [each for each in held.values() if not each.startswith(scope)]
  if others:
    yield (
      f'{len(others)} variables that are no part of the network are left out: '
      f'{some(others)}.'
    )
  left_out = [*held.slots, *held.counters]
  if left_out:
    yield (
      f'{len(left_out)} values of the optimizer and counters are left out: '
      f'{some(left_out)}.'
    )
  facts = [
    f'{what} {run[field]}'
    for field, what in (
      ('preprocessing_name', 'preprocessing'),
      ('train_image_size', 'image size'),
      ('labels_offset', 'labels_offset'),
    )
    if run.get(field)
  ]
  if facts:
    yield (
      f'the file holds weights alone. Images for {library} are to be prepared '
      f'as here: {", ".join(facts)}.'
    )


def write(
  source: str, to: str, output: str, model_name: str | None = None
) -> Written:
  """Writes a checkpoint as the weights of another library, proved equal.

  Args:
    source: a checkpoint of ours, one of its files, or the folder of a run.
    to: a key of `FORMATS`.
    output: the file to write; there is none yet.
    model_name: of the network, if nothing else tells it.

  Returns:
    What was written.

  Raises:
    ValueError: there is no checkpoint, a part of it has no counterpart, the
      file is there already, or its values differ; nothing is written.
    OSError: the file cannot be written.
  """
  if to not in FORMATS:
    raise ValueError(f'--to={to} is unknown. It can be {", ".join(FORMATS)}.')
  told = FORMATS[to]
  told.check(output)
  if os.path.lexists(output):
    raise ValueError(
      f'--output={output} is there already: remove it, or name another file.'
    )
  folder = os.path.dirname(os.path.abspath(output))
  files.check_folder(folder, 'output')
  checkpoint = locate.find(source, '--source')
  run = locate.run_of(checkpoint)
  held = contents.read(checkpoint)
  found, name, options = _identify(checkpoint, held, run, model_name)
  _check_network(name, told)
  _check_parts(checkpoint, name, told.library, found, held, run)
  form = _form(name, told, options)
  epsilon = run.get('batch_norm_epsilon')
  _check_options(name, options, form, told.library, epsilon)
  averaged = bool(held.shadows) and bool(
    run.get('moving_average_decay') or not held.model
  )
  values = {
    each.removeprefix(found.scope): value
    for each, value in contents.read_values(checkpoint, averaged).items()
    if each.startswith(found.scope) and each in held.values()
  }
  arrays = arrays_of(form, values, contents.step(checkpoint) or 0)
  result = proof.compare(
    form,
    {k: v for k, v in arrays.items() if v.dtype == np.float32},
    name,
    {**options, **({'batch_norm_epsilon': epsilon} if epsilon else {})},
    values,
  )
  os.makedirs(folder, exist_ok=True)
  told.write(output, arrays)
  return Written(
    output,
    checkpoint,
    name,
    told.networks[name],
    form,
    found.num_classes,
    [*_notes(run, held, found.scope, averaged, told.library)],
    result,
  )


def _form(name, told, options):
  """Returns the form of names that a network has in a library."""
  unit = nets_factory.get_network(name).unit
  if told.networks is KERAS:
    return 'keras_v1' if unit == 'bottleneck_v1' else 'keras_v2'
  own = nets_factory.get_network(name).root_block
  return 'torch_d' if own == _ROOTS['torch_d'] else 'torch'


def _loading(written):
  """Returns the Python code that loads what was written."""
  call, classes = written.counterpart, written.num_classes
  if written.form.startswith('keras'):
    top = 'include_top=False' if classes is None else f'classes={classes}'
    return f'{call}(weights={written.path!r}, {top})'
  call = (
    f'{call[:-1]}, num_classes={classes})'
    if call.startswith(_TIMM)
    else f'{call}(num_classes={classes})'
  )
  state = (
    f'safetensors.torch.load_file({written.path!r})'
    if written.path.endswith('.safetensors')
    else f'torch.load({written.path!r}, weights_only=True)'
  )
  return f'{call}.load_state_dict({state})'


def describe(written: Written) -> list[str]:
  """Returns what to print of what was written."""
  return [
    f'{written.checkpoint} is {written.network}.',
    str(written.proof),
    *(f'note: {note}' for note in written.notes),
    f'Written to {written.path}. To load it:',
    f'  {_loading(written)}',
  ]
