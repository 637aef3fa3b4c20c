"""Fine-tuning: what a new run takes over from a checkpoint, and what not."""

import dataclasses
import os
from collections.abc import Mapping

import tensorflow.compat.v1 as tf

from engine.checkpoints import (
  architecture,
  compatibility,
  contents,
  locate,
  opening,
  released,
)
from engine.checkpoints.contents import SHADOW
from engine.common import files
from engine.common.variables import assign, matching, some
from engine.config import runs
from engine.config.scripts import TrainConfig
from nets import decoders, resnet_generator
from nets.heads import auxiliary
from nets.slim_compat import slim

FILENAME = 'warm_start.json'
_IMAGENET = {1000, 1001}  # classes, without and with its background
_SHOWN = 6  # names in a line; the file has them all


@dataclasses.dataclass(frozen=True)
class WarmStart:
  """A start from the weights of a checkpoint.

  Attributes:
    path: the checkpoint's prefix.
    restored: {variable: the name it has in the checkpoint}.
    skipped: {variable: why it is not restored, though it could be}.
    missing: variables that the checkpoint lacks.
    unexpected: variables of a model that the network lacks.
    not_needed: what else it holds; see `contents.Contents.not_needed`, and
      'auxiliary', how many are of an auxiliary head that the network lacks.
    shapes: {variable: shape} of all that are named above.
    lines: what to tell the user.
    saver: reads `restored`.
    variables: the network's, {name: variable}.
    origin: see `released.origin`.
  """

  path: str
  restored: Mapping[str, str]
  skipped: Mapping[str, str]
  missing: list[str]
  unexpected: list[str]
  not_needed: Mapping[str, int | list[str]]
  shapes: Mapping[str, list[int]]
  lines: list[str]
  saver: tf.train.Saver
  variables: Mapping[str, tf.Variable]
  origin: Mapping[str, str]

  def restore(self, session: tf.Session) -> None:
    """Restores into a session whose variables have been initialized.

    Moving averages of the weights begin at what they are of: TensorFlow has
    made them from the random initial values.
    """
    self.saver.restore(session, self.path)
    graph = {
      v.op.name: v
      for v in session.graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)
    }
    averages = {
      graph[name + SHADOW]: variable
      for name, variable in self.variables.items()
      if name + SHADOW in graph
    }
    if averages:
      values = session.run(list(averages.values()))
      assign(session, dict(zip(averages, values, strict=True)))

  def write(self, train_dir: str) -> None:
    """Writes warm_start.json, with every variable by name and shape."""

    def listed(names, more=None):
      return [
        {
          'name': name,
          'shape': self.shapes[name],
          **(more(name) if more else {}),
        }
        for name in names
      ]

    files.write_json(
      os.path.join(train_dir, FILENAME),
      {
        'checkpoint': self.path,
        **self.origin,
        'restored': listed(
          self.restored, lambda name: {'from': self.restored[name]}
        ),
        'skipped': listed(
          self.skipped, lambda name: {'reason': self.skipped[name]}
        ),
        'missing': listed(self.missing),
        'unexpected': listed(self.unexpected),
        'not_needed': dict(self.not_needed),
      },
    )


def prepare(config: TrainConfig) -> WarmStart:
  """Prepares to start from another run's weights, or from released ones.

  To be called when the network is built in the current graph, and the moving
  averages of its weights, if there are any.

  Args:
    config: the complete configuration, with a checkpoint_path.

  Raises:
    ValueError: a scope that does not exist, a checkpoint of another network,
      a variable that it lacks or that has another shape or type there.
  """
  assert config.checkpoint_path is not None  # see Args
  path = locate.find(config.checkpoint_path)
  variables = {v.op.name: v for v in slim.get_model_variables()}
  shapes = {name: v.shape.as_list() for name, v in variables.items()}
  held = contents.read(path)
  there, sources = held.values(), held.sources()

  skipped = _excluded(config, variables, there)
  wanted = {
    name: shape for name, shape in shapes.items() if name not in skipped
  }
  # Who excludes scopes may do so with shortcuts.
  compatibility.check(
    path, wanted, there, shortcuts=not config.checkpoint_exclude_scopes
  )
  compatibility.check_channels(path, wanted, there)
  if any(map(decoders.is_part, wanted)):
    compatibility.check_decoder(
      path,
      shapes,
      {name: there[name] for name in there if not _is_excluded(config, name)},
      is_new=True,
    )
  other_classes = _other_classes(config, wanted, there)
  skipped.update(other_classes)
  skipped.update(_new_decoder(wanted, there))
  if runs.is_converted(locate.run_of(path)):
    skipped.update(_new_logits(wanted, there))
  found = compatibility.compare(
    {name: shape for name, shape in wanted.items() if name not in skipped},
    there,
  )
  _check(config, path, found, shapes, there)
  restored = {name: sources[name] for name in found.fits}
  _check_types(path, restored, variables)
  unexpected = compatibility.unexpected(variables, there)
  heads = [
    name for name in there if name not in variables and auxiliary.owns(name)
  ]
  start = WarmStart(
    path,
    restored,
    skipped,
    found.missing,
    unexpected,
    {**held.not_needed(), 'auxiliary': len(heads)},
    {**{name: list(there[name]) for name in unexpected}, **shapes},
    [],
    tf.train.Saver(
      {source: variables[name] for name, source in restored.items()},
      reshape=False,
    ),
    variables,
    released.origin(path),
  )
  start.lines.extend(_lines(config, start))
  return start


def _is_excluded(config, name):
  return any(
    f'{name}/'.startswith(f'{scope.rstrip("/")}/')
    for scope in config.checkpoint_exclude_scopes or ()
  )


def _excluded(config, variables, there):
  """Returns {variable: why} of those under a scope that a flag names.

  A scope may be of a decoder in the checkpoint alone, which is of another form.
  """
  parts = filter(decoders.is_part, there)
  alone = {name.partition('/')[0] for name in parts} - {
    name.partition('/')[0] for name in variables
  }
  scopes = [
    scope
    for scope in config.checkpoint_exclude_scopes or ()
    if scope.partition('/')[0] not in alone
  ]
  if not scopes:
    return {}
  excluded = matching(variables.values(), scopes, 'checkpoint_exclude_scopes')
  if len(excluded) == len(variables):
    raise ValueError(
      '--checkpoint_exclude_scopes='
      f'{config.text("checkpoint_exclude_scopes")} leaves nothing to '
      'restore: leave --checkpoint_path out.'
    )
  return dict.fromkeys(
    (v.op.name for v in excluded), '--checkpoint_exclude_scopes'
  )


def _other_classes(config, wanted, there):
  """Returns {variable: why} of logits that are for other classes."""
  skipped = {}
  for name, shape in wanted.items():
    if (
      resnet_generator.LOGITS in name.split('/')[:-1]
      and name in there
      and list(there[name][:-1]) == shape[:-1]
      and there[name][-1] != shape[-1]
    ):
      skipped[name] = (
        f'the checkpoint has {there[name][-1]} classes, the network {shape[-1]}'
      )
      if {there[name][-1], shape[-1]} == _IMAGENET:
        offset = (config.labels_offset or 0) + shape[-1] - there[name][-1]
        skipped[name] += f'; with --labels_offset={offset} they would fit'
  return skipped


def _new_logits(wanted, there):
  """Returns {variable: why} of logits that converted weights never had."""
  if contents.num_classes(there) is not None:
    return {}
  return {
    name: 'the converted weights have no logits'
    for name in wanted
    if resnet_generator.LOGITS in name.split('/')[:-1]
  }


def _new_decoder(wanted, there):
  """Returns {variable: why} of parts of a decoder that the checkpoint lacks.

  A decoder is what is outside of the network's scope.
  """
  network = architecture.network(wanted)
  parts = {name.partition('/')[0] for name in there}
  return {
    name: 'the checkpoint has no such part of a decoder'
    for name in wanted
    if network
    and not name.startswith(network.scope)
    and name.partition('/')[0] not in parts
  }


def _check(config, path, found, shapes, there):
  if found.other_shapes:
    name = found.other_shapes[0]
    raise ValueError(
      f'{name} is {shapes[name]} in the network and {list(there[name])} in '
      f'the checkpoint {path}: is it of another network? To train it afresh '
      f'pass --checkpoint_exclude_scopes={name.rpartition("/")[0]}.'
    )
  total = len(found.fits) + len(found.missing)
  if found.missing and (not config.ignore_missing_vars or not found.fits):
    scopes = _scopes(found.missing)
    cure = (
      f'To train them afresh, pass --checkpoint_exclude_scopes='
      f'{",".join(scopes)} or --ignore_missing_vars.'
      if found.fits and len(scopes) <= 3
      else 'Is it of another network? To train them afresh, name them in '
      '--checkpoint_exclude_scopes, or set --ignore_missing_vars.'
    )
    held = some(list(there)) or 'no variable of a network'
    raise ValueError(
      f'The checkpoint {path} lacks {len(found.missing)} of the {total} '
      f'variables to restore, {some(found.missing)}; it holds '
      f'{held}. {cure}'
    )
  if not found.fits:
    raise ValueError(
      f'Nothing of the checkpoint {path} is left to restore: '
      'leave --checkpoint_path out.'
    )


def _check_types(path, restored, variables):
  types = opening.reader(path).get_variable_to_dtype_map()
  for name, source in restored.items():
    here = variables[name].dtype.base_dtype
    if types[source] != here:
      raise ValueError(
        f'{source} is {types[source].name} in the checkpoint {path} and '
        f'{here.name} in the network: save it again as {here.name}, or name '
        'another with --checkpoint_path.'
      )


def _scopes(names):
  """Returns the scopes that the variables are directly in."""
  return list(dict.fromkeys(name.rpartition('/')[0] for name in names))


def _lines(config, start):
  """Returns what to print; variables by name and shape, of many a few."""
  slots, averages, counters, heads = start.not_needed.values()
  kinds = [f'{slots} of the optimizer'] if slots else []
  kinds += [f'{heads} of an auxiliary head'] if heads else []
  kinds += [f'{averages} moving averages'] if averages else []
  kinds += counters
  needless = f'; not needed: {", ".join(kinds)}' if kinds else ''
  lines = [
    f'{len(start.restored)} variables restored from {start.path}, '
    f'{len(start.skipped)} left out, {len(start.missing)} missing, '
    f'{len(start.unexpected)} unexpected{needless}.'
  ]
  shadows = sum(source.endswith(SHADOW) for source in start.restored.values())
  if shadows:
    lines.append(
      f'{shadows} of them are there only as moving averages, which are taken.'
    )
  if averages:
    lines.append('The weights are taken, not their moving averages.')
  for reason in dict.fromkeys(start.skipped.values()):
    names = [name for name, why in start.skipped.items() if why == reason]
    lines.append(f'Left out ({reason}): {_named(start, names)}.')
  if start.missing:
    lines.append(
      'Missing in the checkpoint, and trained afresh: '
      f'{_named(start, start.missing)}.'
    )
  if start.unexpected:
    lines.append(
      'Unexpected in the checkpoint, and not taken: '
      f'{_named(start, start.unexpected)}.'
    )
  return lines + _untrained(config, start)


def _named(start, names):
  return some(
    [f'{name} {start.shapes[name]}' for name in names],
    _SHOWN,
    f', see {FILENAME}',
  )


def _untrained(config, start):
  """Returns a warning of variables that nothing gives a value, if any."""
  afresh = [*start.skipped, *start.missing]
  trained = {
    v.op.name
    for v in matching(
      tf.trainable_variables(), config.trainable_scopes, 'trainable_scopes'
    )
  }
  random = [
    v.op.name
    for v in tf.trainable_variables()
    if v.op.name in afresh and v.op.name not in trained
  ]
  if not random:
    return []
  return [
    'note: neither restored nor trained, so they stay random: '
    f'{_named(start, random)}. Is their scope missing in '
    '--trainable_scopes?'
  ]
