"""The names that other libraries give to the variables of our networks.

A form is a library's way to name and to lay out what a network learns. Each is
a table of layers, from ours to theirs, and a table of what a layer holds. Both
are usable in either direction: `table` gives, for the variables of a network,
the source of each, and a `Source` turns an array either way.

>>> source('torch', 'block1/unit_1/bottleneck_v1/conv2/weights')
Source(name='layer1.0.conv2.weight', axes=(3, 2, 0, 1), dense=False)
>>> source('keras_v1', 'block2/unit_3/bottleneck_v1/conv1/BatchNorm/gamma').name
'conv3_block3_1_bn/gamma'
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from nets import resnet_generator


class Layer(NamedTuple):
  """A layer of ours, and what another library calls it.

  Fields:
    scope: ours inside of the network's; {block}, {unit}, {kind} (the scope of
      a unit, such as 'bottleneck_v1') and {conv} stand for what differs.
    weights: the layer of theirs that has its weights, and biases if there are
      any; None if it has none. {before} is the unit's number less one, and
      {stage} the block's plus one.
    norm: the layer of theirs that is its batch norm; None if it has none.
  """

  scope: str
  weights: str | None = None
  norm: str | None = None


class Form(NamedTuple):
  """How a library names and lays out the variables of a network.

  Fields:
    library: who uses it, for messages.
    join: what stands between the name of a layer and that of its array.
    layers: all layers, each once.
    weights: {the name of ours: theirs} of what a convolution holds.
    norm: {the name of ours: theirs} of what batch norm holds.
    axes: of a kernel: theirs is ours with its axes in this order. Ours are
      height, width, channels in (of a group), channels out.
    own: a pattern of the names of arrays that are of the network itself, as
      opposed to those of heads that somebody put on it.
    needless: a pattern of the names of arrays that nothing of ours needs.
    biased: whether convolutions have biases before batch norm, which are
      folded into its moving mean.
    units: the scopes of the units of its networks.
    batch_norm_epsilon: what the library adds to variances.
  """

  library: str
  join: str
  layers: tuple[Layer, ...]
  weights: Mapping[str, str]
  norm: Mapping[str, str]
  axes: tuple[int, int, int, int]
  own: str
  needless: str
  biased: bool
  units: tuple[str, ...]
  batch_norm_epsilon: float

  @property
  def logits(self) -> str:
    """Their name of the layer of the logits."""
    return next(
      layer.weights
      for layer in self.layers
      if layer.scope == resnet_generator.LOGITS and layer.weights
    )

  def array(self, layer: str, kind: str) -> str:
    """Returns the name of an array: 'conv1' and 'weight' -> 'conv1.weight'."""
    return f'{layer}{self.join}{kind}'


_KERAS_WEIGHTS = {'weights': 'kernel', 'biases': 'bias'}
_KERAS_NORM = {
  name: name for name in ('gamma', 'beta', 'moving_mean', 'moving_variance')
}
_TORCH_WEIGHTS = {'weights': 'weight', 'biases': 'bias'}
_TORCH_NORM = {
  'gamma': 'weight',
  'beta': 'bias',
  'moving_mean': 'running_mean',
  'moving_variance': 'running_var',
}
_UNIT = 'block{block}/unit_{unit}/{kind}/'


def _keras(layers, biased, unit):
  return Form(
    'keras.applications',
    '/',
    (*layers, Layer(resnet_generator.LOGITS, 'predictions')),
    _KERAS_WEIGHTS,
    _KERAS_NORM,
    (0, 1, 2, 3),
    r'(conv\d|pool1|post_|predictions/)',
    r'$^',
    biased,
    (unit,),
    1.001e-5,
  )


def _torch(library, root, shortcut):
  return Form(
    library,
    '.',
    (
      *root,
      Layer(
        _UNIT + 'conv{conv}',
        'layer{block}.{before}.conv{conv}',
        'layer{block}.{before}.bn{conv}',
      ),
      Layer(
        _UNIT + 'shortcut',
        *(f'layer{{block}}.{{before}}.downsample.{i}' for i in shortcut),
      ),
      Layer(resnet_generator.LOGITS, 'fc'),
    ),
    _TORCH_WEIGHTS,
    _TORCH_NORM,
    (3, 2, 0, 1),
    r'(conv1|bn1|layer\d+|maxpool|act1|fc)\.',
    r'(^|.*\.)num_batches_tracked$',
    False,
    ('bottleneck_v1', 'basic_v1'),
    1e-5,
  )


_BLOCK = 'conv{stage}_block{unit}_'

FORMS: dict[str, Form] = {
  # keras.applications.ResNet50, 101 and 152.
  'keras_v1': _keras(
    (
      Layer('conv1', 'conv1_conv', 'conv1_bn'),
      Layer(_UNIT + 'conv{conv}', _BLOCK + '{conv}_conv', _BLOCK + '{conv}_bn'),
      Layer(_UNIT + 'shortcut', _BLOCK + '0_conv', _BLOCK + '0_bn'),
    ),
    True,
    'bottleneck_v1',
  ),
  # keras.applications.ResNet50V2, 101V2 and 152V2.
  'keras_v2': _keras(
    (
      Layer('conv1', 'conv1_conv'),
      Layer(_UNIT + 'preact', None, _BLOCK + 'preact_bn'),
      Layer(_UNIT + 'conv{conv}', _BLOCK + '{conv}_conv', _BLOCK + '{conv}_bn'),
      Layer(_UNIT + 'shortcut', _BLOCK + '0_conv'),
      Layer('postnorm', None, 'post_bn'),
    ),
    False,
    'bottleneck_v2',
  ),
  # torchvision's resnet18 to 152, its wide_resnet and resnext, and timm's of
  # the same names.
  'torch': _torch('torchvision', [Layer('conv1', 'conv1', 'bn1')], (0, 1)),
  # timm's resnet18d to 152d: a stem of three, and a pooling before the
  # shortcut's convolution.
  'torch_d': _torch(
    'timm',
    [
      Layer('conv1_1', 'conv1.0', 'conv1.1'),
      Layer('conv1_2', 'conv1.3', 'conv1.4'),
      Layer('conv1_3', 'conv1.6', 'bn1'),
    ],
    (1, 2),
  ),
}


class Source(NamedTuple):
  """Where the value of a variable is in a form.

  Fields:
    name: of the array.
    axes: it is ours with its axes in this order; None where it is the same.
    dense: whether it is the matrix of a fully connected layer, which has no
      height and width: ours has both, of 1.
  """

  name: str
  axes: tuple[int, ...] | None = None
  dense: bool = False

  def to_slim(self, value: np.ndarray) -> np.ndarray:
    """Returns our value of an array of theirs."""
    if self.dense:
      return (value if self.axes is None else value.T)[None, None]
    if self.axes is None:
      return value
    return np.transpose(value, np.argsort(self.axes))

  def from_slim(self, value: np.ndarray) -> np.ndarray:
    """Returns their array of a value of ours."""
    if self.dense:
      return value[0, 0] if self.axes is None else value[0, 0].T
    return value if self.axes is None else np.transpose(value, self.axes)

  def shape(self, shape: Iterable[int]) -> tuple[int, ...]:
    """Returns the shape of their array of a variable of ours."""
    ours = tuple(shape)
    if self.dense:
      return ours[2:] if self.axes is None else ours[:1:-1]
    return ours if self.axes is None else tuple(ours[i] for i in self.axes)


def _pattern(scope):
  """Returns what matches the scopes of ours that a template stands for."""
  numbers = {'block': r'(?P<block>\d+)', 'unit': r'(?P<unit>\d+)'}
  return re.compile(
    scope.format(kind=r'(?P<kind>[^/]+)', conv=r'(?P<conv>\d+)', **numbers)
  )


_PATTERNS = {
  name: [(_pattern(layer.scope), layer) for layer in form.layers]
  for name, form in FORMS.items()
}


def _inverse(template):
  """Returns what matches the layers of theirs that a template stands for."""
  escaped = template.replace('.', r'\.')
  return re.compile(
    escaped.format(
      stage=r'(?P<stage>\d+)',
      block=r'(?P<block>\d+)',
      unit=r'(?P<unit>\d+)',
      before=r'(?P<before>\d+)',
      conv=r'(?P<conv>[1-9])',
    )
  )


_INVERSES = {
  name: [
    (_inverse(theirs), layer.scope, kinds)
    for layer in form.layers
    for theirs, kinds in (
      (
        layer.weights,
        {there: f'/{here}' for here, there in form.weights.items()},
      ),
      (
        layer.norm,
        {
          # Batch norm of pre-activation is a layer of its own with us, too.
          there: f'/{here}' if layer.weights is None else f'/BatchNorm/{here}'
          for here, there in form.norm.items()
        },
      ),
    )
    if theirs
  ]
  for name, form in FORMS.items()
}
# In a unit of pre-activation the batch norm is a layer of its own, and there is
# no scope of it.
_VARIABLE = re.compile(r'(?P<scope>.+?)(?P<norm>/BatchNorm)?/(?P<end>[^/]+)')


def get_form(name: str) -> Form:
  """Returns an entry of `FORMS`.

  Raises:
    ValueError: there is none of that name.
  """
  if name not in FORMS:
    raise ValueError(
      f'There is no form of weights named {name!r}. The forms are: '
      f'{", ".join(FORMS)}.'
    )
  return FORMS[name]


def _layer(form, scope):
  for pattern, layer in _PATTERNS[form]:
    match = pattern.fullmatch(scope)
    if match:
      found = match.groupdict()
      kind = found.get('kind')
      if kind is not None and kind not in FORMS[form].units:
        return None
      numbers = {
        'before': int(found.get('unit', 1)) - 1,
        'stage': int(found.get('block', 1)) + 1,
      }
      return layer, {**found, **numbers}
  return None


def source(form: str, variable: str) -> Source | None:
  """Returns where a form has the value of a variable.

  Args:
    form: a key of `FORMS`.
    variable: its name without the scope of the network.

  Returns:
    None if the form has no such variable.
  """
  known, match = get_form(form), _VARIABLE.fullmatch(variable)
  found = match and _layer(form, match['scope'])
  if not match or not found:
    return None
  layer, numbers = found
  end = match['end']
  is_norm = end in known.norm
  theirs = layer.norm if is_norm else layer.weights
  kinds = known.norm if is_norm else known.weights
  if theirs is None or end not in kinds:
    return None
  name = known.array(theirs.format(**numbers), kinds[end])
  if end != 'weights':
    return Source(name)
  axes = None if known.axes == (0, 1, 2, 3) else known.axes
  return Source(name, axes, theirs == known.logits)


def table(form: str, variables: Iterable[str]) -> dict[str, Source | None]:
  """Returns {variable: its source} of all; None of those the form lacks.

  Args:
    form: a key of `FORMS`.
    variables: their names without the scope of the network.
  """
  return {variable: source(form, variable) for variable in variables}


def bias_of_norm(form: str, variable: str) -> str | None:
  """Returns the bias that a form has before the batch norm of a moving mean.

  To our moving mean it is what is subtracted from theirs: what normalizes
  x + b by the mean m normalizes x by m - b.

  >>> bias_of_norm('keras_v1', 'conv1/BatchNorm/moving_mean')
  'conv1_conv/bias'

  Args:
    form: a key of `FORMS`.
    variable: its name without the scope of the network.

  Returns:
    The name of theirs; None for any other variable, and where there is none.
  """
  known, match = get_form(form), _VARIABLE.fullmatch(variable)
  if not known.biased or not match or match['end'] != 'moving_mean':
    return None
  found = _layer(form, match['scope'])
  if found is None or found[0].weights is None:
    return None
  layer, numbers = found
  return known.array(layer.weights.format(**numbers), known.weights['biases'])


def variable(form: str, name: str, unit: str) -> str | None:
  """Returns which variable of ours has the value of an array of theirs.

  >>> variable('torch', 'layer4.2.bn3.bias', 'bottleneck_v1')
  'block4/unit_3/bottleneck_v1/conv3/BatchNorm/beta'

  Args:
    form: a key of `FORMS`.
    name: of the array.
    unit: the scope of the network's units.

  Returns:
    Its name without the scope of the network; None if there is none. Biases
    that are folded into a moving mean have a name too: see `bias_of_norm`.
  """
  layer, _, kind = name.rpartition(get_form(form).join)
  for pattern, scope, kinds in _INVERSES[form]:
    match = pattern.fullmatch(layer)
    if match and kind in kinds:
      found = {k: int(v) for k, v in match.groupdict().items()}
      if 'stage' in found:
        found['block'] = found['stage'] - 1
      if 'before' in found:
        found['unit'] = found['before'] + 1
      return scope.format(kind=unit, **found) + kinds[kind]
  return None
