"""Which network a file of weights is of, and its values as ours.

Nothing of the file's own name counts: the names and shapes of its arrays tell.
All variables of the network have to be there, of its shapes, and no array of
the network may be left over, so that nothing is converted that is another
network than it seems.
"""

import collections
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from datasets.label_kinds import CLASSIFICATION, SEGMENTATION
from engine.checkpoints import architecture, contents, locate, released
from engine.checkpoints.convert import naming, reading
from engine.checkpoints.convert.arrays import Arrays, as_float32
from engine.common.variables import some
from engine.config import runs
from nets import decoders, nets_factory, resnet_generator
from nets.slim_compat import slim

SLIM = 'slim'
_SYMMETRIC = '7x7_symmetric'
_IMAGENET = 1000  # classes, without the background of its labels


class Published(NamedTuple):
  """What weights of a form are for, where nothing else is said.

  Fields:
    networks: ours that they may be of.
    root_block: of these; None for their own.
    preprocessing: the name of the preprocessing.
    labels_offset: what is subtracted from ImageNet's labels 0 to 1000.
    image_size: in pixels.
  """

  networks: tuple[str, ...]
  root_block: str | None
  preprocessing: str
  labels_offset: int = 1
  image_size: int = 224


PUBLISHED: dict[str, Published] = {
  'keras_v1': Published(
    ('resnet_v1_50', 'resnet_v1_101', 'resnet_v1_152'), _SYMMETRIC, 'caffe'
  ),
  'keras_v2': Published(
    ('resnet_v2_50', 'resnet_v2_101', 'resnet_v2_152'), _SYMMETRIC, 'keras_v2'
  ),
  'torch': Published(
    (
      'resnet_v1_18',
      'resnet_v1_34',
      'resnet_v1_5_50',
      'resnet_v1_5_101',
      'resnet_v1_5_152',
      'wide_resnet_50_2',
      'wide_resnet_101_2',
      'resnext_50_32x4d',
      'resnext_101_32x8d',
      'resnext_101_64x4d',
    ),
    _SYMMETRIC,
    'torchvision',
  ),
  'torch_d': Published(
    (
      'resnet_v1d_18',
      'resnet_v1d_34',
      'resnet_v1d_50',
      'resnet_v1d_101',
      'resnet_v1d_152',
    ),
    None,
    'timm_bicubic',
  ),
}


class Recognised(NamedTuple):
  """What a file of weights is.

  Fields:
    form: a key of `naming.FORMS`, or 'slim', or 'map'.
    library: whose names it has.
    network: ours, by its name.
    options: what the network is built with, by name.
    task: what it was trained for.
    num_classes: the number of logits, None if there are none.
    channels: of its images.
    values: ours, float32, by the names of variables.
    left_over: the names of arrays that are not taken over.
    settings: what else is known of it: fields of a run's config.json.
  """

  form: str
  library: str
  network: str
  options: dict[str, Any]
  task: str
  num_classes: int | None
  channels: int
  values: dict[str, np.ndarray]
  left_over: list[str]
  settings: dict[str, Any]

  @property
  def flags(self) -> str:
    """The network with its options, as flags have them."""
    return ' '.join(
      [self.network, *(f'--{k}={v}' for k, v in self.options.items())]
    )


def variables(
  network: str,
  options: Mapping[str, Any],
  num_classes: int | None,
  channels: int = 3,
) -> dict[str, list[int]]:
  """Returns {name: shape} of all variables of a network.

  Args:
    network: its name.
    options: what it is built with.
    num_classes: the number of logits, None for none.
    channels: of its images.
  """
  with tf.Graph().as_default():
    images = tf.placeholder(tf.float32, [1, 64, 64, channels])
    nets_factory.get_network_fn(network, num_classes)(images, **options)
    return {v.op.name: v.shape.as_list() for v in slim.get_model_variables()}


def _shapes(values):
  return {name: list(value.shape) for name, value in values.items()}


def _units(names: Iterable[str]) -> tuple[int, ...]:
  """Returns the number of units of each block, told by variables of ours."""
  found: dict[int, int] = {}
  for name in names:
    match = re.match(r'block(\d+)/unit_(\d+)/', name)
    if match:
      block = int(match[1])
      found[block] = max(found.get(block, 0), int(match[2]))
  return tuple(count for _, count in sorted(found.items()))


def own_units(network: str) -> tuple[int, ...]:
  """Returns the number of units in each block of a network."""
  return tuple(
    len(block.args) for block in nets_factory.get_network(network).blocks()
  )


def check_fit(
  path: str,
  what: str,
  values: Mapping[str, np.ndarray],
  wanted: Mapping[str, Iterable[int]],
) -> None:
  """Makes sure that all variables of a network have a value of their shape.

  Args:
    path: of the source.
    what: the network that it is taken for.
    values: ours.
    wanted: {variable: shape}.

  Raises:
    ValueError: one is missing, or has another shape.
  """
  missing = [name for name in wanted if name not in values]
  statistics = [
    name
    for name in missing
    if name.endswith(('/moving_mean', '/moving_variance'))
  ]
  if statistics:
    raise ValueError(
      f'{path} lacks {len(statistics)} statistics of batch norm of {what}, '
      f'{some(statistics)}: a network cannot be evaluated without. Save '
      'running means and variances too, which are no parameters.'
    )
  if missing:
    raise ValueError(
      f'{path} is taken for {what}, but lacks {len(missing)} of its '
      f'{len(wanted)} variables: {some(missing)}. Is it cut off, or of another '
      'network?'
    )
  for name, shape in wanted.items():
    if list(values[name].shape) != list(shape):
      raise ValueError(
        f'{path} is taken for {what}, but its {name} is '
        f'{list(values[name].shape)}, and that of the network {list(shape)}: '
        'it is of another network.'
      )


# ------------------------------------------------ forms of other libraries


class _Translated(NamedTuple):
  """Arrays by the variables that a form says they are.

  Fields:
    form: a key of `naming.FORMS`.
    unit: the scope of the units.
    sources: {variable: the name of its array}.
    unknown: names of arrays that the form does not know.
  """

  form: str
  unit: str
  sources: dict[str, str]
  unknown: list[str]


def _translate(arrays, form):
  known = naming.get_form(form)
  names = [
    name for name in arrays.values if not re.fullmatch(known.needless, name)
  ]
  unit = known.units[0]
  if len(known.units) > 1:
    deep = any(
      re.fullmatch(r'layer\d+\.\d+\.conv3\..*', name) for name in names
    )
    unit = known.units[0 if deep else 1]
  sources: dict[str, str] = {}
  unknown = []
  for name in names:
    variable = naming.variable(form, name, unit)
    if variable is None:
      unknown.append(name)
    elif variable in sources:
      raise ValueError(
        f'{arrays.path} has {sources[variable]} and {name}, which both are '
        f'{variable}.'
      )
    else:
      sources[variable] = name
  return _Translated(form, unit, sources, unknown)


def _choose_form(arrays):
  """Returns the form that most arrays are of, None if there is no ResNet."""
  found = [_translate(arrays, form) for form in naming.FORMS]
  best = max(found, key=lambda each: len(each.sources))
  if not _units(best.sources):
    return None
  strange = set(best.unknown)
  for other in found:
    mixed = [
      name
      for name in other.sources.values()
      if name in strange
      and not naming.get_form(best.form).library
      == naming.get_form(other.form).library
    ]
    if mixed:
      raise ValueError(
        f'{arrays.path} mixes names of {naming.get_form(best.form).library}, '
        f'such as {next(iter(best.sources.values()))}, with those of '
        f'{naming.get_form(other.form).library}, such as {mixed[0]}: convert '
        'one network at a time.'
      )
  return best


def _value(arrays, translated, variable, name):
  """Returns our value of an array; raises ValueError for a wrong rank."""
  source = naming.source(translated.form, variable)
  value = arrays.values[name]
  rank = None
  if source is not None:
    rank = len(source.shape((1,) * (4 if variable.endswith('weights') else 1)))
  if rank is not None and value.ndim != rank:
    raise ValueError(
      f'{arrays.path} has {name} of the shape {list(value.shape)}, where '
      f'{rank} axes are expected: it is of another network, or damaged.'
    )
  try:
    value = as_float32(name, value)
  except ValueError as error:
    raise ValueError(f'{arrays.path} {error}.') from None
  return value if source is None else source.to_slim(value)


def _folded(form, values, path):
  """Folds biases before batch norm into its moving mean, and drops them."""
  for variable in [name for name in values if name.endswith('/moving_mean')]:
    scope = variable.removesuffix('/BatchNorm/moving_mean')
    bias = values.pop(f'{scope}/biases', None)
    if bias is None:
      continue
    if bias.shape != values[variable].shape:
      raise ValueError(
        f'{path} has {list(bias.shape)} biases of {scope} and '
        f'{list(values[variable].shape)} means: it is damaged.'
      )
    values[variable] = values[variable] - bias
  return values


def _candidates(translated, path, model_name):
  """Returns the networks of a form with these units."""
  published = PUBLISHED[translated.form]
  units = _units(translated.sources)
  known = [
    name
    for name in published.networks
    if nets_factory.get_network(name).unit == translated.unit
  ]
  found = [name for name in known if own_units(name) == units]
  library = naming.get_form(translated.form).library
  if not found:
    depths = ', '.join(f'{name} {own_units(name)}' for name in known)
    raise ValueError(
      f'{path} has the names of {library}, and {units} units in its blocks, as '
      f'none of the networks that have such names: {depths}.'
    )
  if model_name is not None and model_name not in found:
    raise ValueError(
      f'--model_name={model_name} contradicts {path}, which is of '
      f'{" or ".join(found)}: leave the flag out.'
    )
  return [model_name] if model_name else found


def _left_over(translated, path):
  """Returns what is no part of the network; refuses what is another one."""
  own = naming.get_form(translated.form).own
  strange = [name for name in translated.unknown if re.match(own, name)]
  if strange:
    raise ValueError(
      f'{path} has {len(strange)} arrays that the networks known here do not '
      f'have, {some(strange)}: it is of another network, such as one with '
      'attention or another stem.'
    )
  return translated.unknown


def _of_form(arrays, translated, model_name):
  form, path = translated.form, arrays.path
  published, library = PUBLISHED[form], naming.get_form(form).library
  candidates = _candidates(translated, path, model_name)
  left_over = _left_over(translated, path)
  values = {
    variable: _value(arrays, translated, variable, name)
    for variable, name in translated.sources.items()
  }
  if naming.get_form(form).biased:
    values = _folded(form, values, path)
  logits = values.get(f'{resnet_generator.LOGITS}/weights')
  num_classes = None if logits is None else logits.shape[-1]
  root = next(
    (v for k, v in values.items() if re.match(r'conv1(_1)?/w', k)), None
  )
  channels = 3 if root is None else root.shape[2]
  options = (
    {} if published.root_block is None else {'root_block': published.root_block}
  )
  shapes = _shapes(values)
  for network in candidates:
    scope = nets_factory.get_network(network).default_scope
    wanted = variables(network, options, num_classes, channels)
    ours = {f'{scope}/{name}': value for name, value in values.items()}
    if network == candidates[-1] or all(
      shapes.get(name.removeprefix(f'{scope}/'), shape) == shape
      for name, shape in wanted.items()
    ):
      break
  own_options = {
    name: value
    for name, value in options.items()
    if nets_factory.get_network(network).options[name].default != value
  }
  what = ' '.join([network, *(f'--{k}={v}' for k, v in own_options.items())])
  check_fit(path, what, ours, wanted)
  extra = [name for name in ours if name not in wanted]
  if extra:
    raise ValueError(
      f'{path} is taken for {what}, which has no place for '
      f'{len(extra)} of its arrays: {some(extra)}.'
    )
  epsilon = naming.get_form(form).batch_norm_epsilon
  return Recognised(
    form,
    library,
    network,
    options,
    CLASSIFICATION,
    num_classes,
    channels,
    ours,
    left_over,
    {
      'preprocessing_name': published.preprocessing,
      'train_image_size': published.image_size,
      'labels_offset': (
        published.labels_offset if num_classes == _IMAGENET else 0
      ),
      'batch_norm_epsilon': epsilon,
    },
  )


# ------------------------------------------- checkpoints of slim's networks

_PART = re.compile(
  r'(?P<scope>.*?)(?P<rest>(block\d+/unit_\d+|conv1(_\d)?|postnorm|logits)/.+)'
)
_UNIT = re.compile(r'(?P<scope>|.*?/)(?P<block>block\d+)/unit_\d+/.+')


def _scopes(names, path):
  """Returns the scopes that the blocks of the one network are in."""
  blocks: dict[str, set[str]] = collections.defaultdict(set)
  for name in names:
    match = _UNIT.fullmatch(name)
    if match:
      blocks[match['scope']].add(match['block'])
  networks = collections.defaultdict(list)
  for scope in blocks:
    networks[scope.rstrip('/').rpartition('/')[-1]].append(scope)
  if not networks:
    return []
  counted = collections.Counter(
    block for found in blocks.values() for block in found
  )
  if len(networks) > 1 or max(counted.values()) > 1:
    raise ValueError(
      f'{path} holds several networks, under {" and ".join(sorted(blocks))}: '
      'save the one that is meant in a checkpoint of its own.'
    )
  return list(blocks)


def _choose_network(found, last, path, model_name):
  """Returns the name of the network that variables are of."""
  names = found.names
  if model_name is not None:
    if model_name not in names:
      raise ValueError(
        f'--model_name={model_name} contradicts {path}, which is of {found}: '
        'leave the flag out, or name one of these.'
      )
    return model_name
  own = [
    name
    for name in names
    if nets_factory.get_network(name).default_scope == last
  ]
  if not names:
    raise ValueError(f'{path} is of {found}, and no network here is like that.')
  chosen = own or names
  if len(chosen) > 1:
    raise ValueError(
      f'{path} fits {" and ".join(chosen)}, and no name in it tells which it '
      'is: pass --model_name.'
    )
  return chosen[0]


def _settings_of_slim(network, found, decoder):
  """Returns what is known of a checkpoint: of TF-Slim's the most."""
  if decoder.depth:
    options = decoders.get_decoder(decoder.name).options
    low_level = 'decoder_low_level'
    return {low_level: 'residual'} if low_level in options else {}
  known = released.of_architecture(found)
  if known and known[0].name == network.name:
    return {
      'preprocessing_name': network.preprocessing,
      'train_image_size': known[1].image_size,
      'labels_offset': known[1].labels_offset,
    }
  return {
    'preprocessing_name': network.preprocessing,
    'train_image_size': network.default_image_size,
    'labels_offset': 0,
  }


def _of_slim(arrays, model_name):
  path = arrays.path
  if arrays.format == reading.SLIM and locate.run_of(path):
    raise ValueError(
      f'{path} is a checkpoint of this project already, as the '
      f'{runs.CONFIG_FILENAME} beside it says: name it by --checkpoint_path as '
      'it is. With --to it is written for another library.'
    )
  scopes = _scopes(arrays.values, path)
  if not scopes:
    return None
  last = scopes[0].rstrip('/').rpartition('/')[-1]
  renamed, parts, left_over = {}, {}, []
  for name, value in arrays.values.items():
    match = _PART.fullmatch(name)
    if decoders.is_part(name):
      parts[name] = value
    elif match and match['scope'] in scopes:
      renamed[match['rest']] = value
    else:
      left_over.append(name)
  found = architecture.network(_shapes(renamed))
  assert found is not None  # there are scopes with units
  name = _choose_network(found, last, path, model_name)
  network = nets_factory.get_network(name)
  decoder = architecture.decoder(_shapes(arrays.values))
  options: dict[str, Any] = dict(found.options(name))
  width = architecture.width(found)
  if width != 1:
    options['depth_multiplier'] = width
  num_classes = None if decoder.depth else found.num_classes
  channels = found.channels or 3
  ours = {f'{network.default_scope}/{k}': v for k, v in renamed.items()}
  wanted = variables(name, options, num_classes, channels)
  check_fit(path, name, ours, wanted)
  extra = [variable for variable in ours if variable not in wanted]
  values = {k: v for k, v in ours.items() if k in wanted} | parts
  try:
    values = {k: as_float32(k, v) for k, v in values.items()}
  except ValueError as error:
    raise ValueError(f'{path} {error}.') from None
  is_dense = bool(parts) and contents.num_classes(_shapes(parts)) is not None
  return Recognised(
    SLIM,
    "TF-Slim's networks",
    name,
    options,
    SEGMENTATION if is_dense else CLASSIFICATION,
    contents.num_classes(_shapes(parts)) if is_dense else num_classes,
    channels,
    values,
    sorted(left_over + extra),
    _settings_of_slim(network, found, decoder),
  )


# ------------------------------------------------------------------- both


def recognise(arrays: Arrays, model_name: str | None = None) -> Recognised:
  """Returns which network a file is of, with its values as ours.

  Args:
    arrays: what the file holds.
    model_name: the network that it is said to be of.

  Raises:
    ValueError: it is of none that is known here, or not complete.
  """
  if model_name is not None:
    nets_factory.get_network(model_name)
  found = None
  if arrays.format == reading.SLIM:
    found = _of_slim(arrays, model_name)
  else:
    translated = _choose_form(arrays)
    if translated is not None:
      found = _of_form(arrays, translated, model_name)
    elif _scopes(arrays.values, arrays.path):  # a slim network in .npz
      found = _of_slim(arrays, model_name)
  if found is None:
    held = some(list(arrays.values)) or 'no array'
    raise ValueError(
      f'{arrays.path}, {arrays.format}, has the names of none of '
      f'{", ".join(naming.FORMS)} or slim, but {held}. Say by --name_map which '
      'array is which variable.'
    )
  if found.channels not in (1, 3):
    raise ValueError(
      f'{arrays.path} is for images of {found.channels} channels; images here '
      'have 3, or 1.'
    )
  return found
