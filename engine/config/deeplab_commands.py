"""DeepLab's command lines: what they mean by the table of its flags.

Nothing here imports TensorFlow.
"""

import dataclasses
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from engine.config import aliases, deeplab, runs
from engine.config.fields import Config


class Command(NamedTuple):
  """A command line, with DeepLab's flags taken out.

  Fields:
    argv: the rest.
    theirs: {flag: text} of DeepLab's.
  """

  argv: list[str]
  theirs: dict[str, str]


class Meaning(NamedTuple):
  """What DeepLab's flags mean.

  Fields:
    given: {our flag: text}, of flags that are given.
    defaults: {our flag: text}, where no flag gives another.
    names: {our flag: how it was given}.
    notes: sentences on what was understood.
  """

  given: dict[str, str]
  defaults: dict[str, str]
  names: dict[str, str]
  notes: list[str]

  def explained(self, error: str) -> str:
    """Returns an error about our flags, with those that were given."""
    found = [
      f'{self.names.get(name, "the default of DeepLab")} is --{name} here'
      for name in {**self.given, **self.defaults}
      if re.search(rf'--{name}\b', error)
    ]
    return f'{error} ({"; ".join(found)}.)' if found else error


def split(argv: Sequence[str], own: Collection[str] | None) -> Command:
  """Takes DeepLab's flags out of a command line.

  A list that is given by one value at a time is joined, our own too. What is in
  flag files stays as it is.

  >>> split(['x', '--train_logdir', 'a', '--seed=1', '--notrain'], ['seed'])
  Command(argv=['x', '--seed=1', '--notrain'], theirs={'train_logdir': 'a'})

  Args:
    argv: with the script's name first.
    own: the flags of the script; None for one that DeepLab has none like.

  Raises:
    ValueError: a flag without its value.
  """
  if own is None:
    return Command([*argv], {})
  rest: list[str] = [argv[0]]
  found: dict[str, list[str]] = {}  # in the order of the last ones
  places: dict[str, list[int]] = {}  # of our lists
  words = iter(argv[1:])
  for word in words:
    if word == '--':
      rest += [word, *words]
      break
    name, equals, text = word.lstrip('-').partition('=')
    if not equals and _is_off(name, own):
      name, equals, text = name.removeprefix('no'), '=', 'false'
    known = name in (deeplab.LISTS if name in own else deeplab.FLAGS)
    if not word.startswith('-') or not known:
      rest.append(word)
      continue
    if not equals:
      is_switch = name not in own and deeplab.FLAGS[name].kind is bool
      text = 'true' if is_switch else next(words, '')
      if not text:
        raise ValueError(f'--{name} has no value: pass --{name}=VALUE.')
    found[name] = [*found.pop(name, []), text]
    if name in own:
      places.setdefault(name, []).append(len(rest))
      rest.append(f'--{name}={text}')
  joined = {name: _joined(name, texts) for name, texts in found.items()}
  for name, (*_, last) in places.items():
    rest[last] = f'--{name}={joined[name]}'
  dropped = {place for _, (*before, _) in places.items() for place in before}
  return Command(
    [word for place, word in enumerate(rest) if place not in dropped],
    {name: text for name, text in joined.items() if name not in own},
  )


def _is_off(name, own):
  """Whether it is such as notrain of a flag of DeepLab's."""
  flag = name.removeprefix('no')
  known = flag != name and flag not in own and flag in deeplab.FLAGS
  return known and deeplab.FLAGS[flag].kind is bool


def _joined(name, texts):
  """Returns the values of a list that were given, or the last of others."""
  is_list = name in deeplab.LISTS and not any(',' in text for text in texts)
  return ','.join(texts) if is_list else texts[-1]


def _parts(name, text):
  return text.split(',') if name in deeplab.LISTS else [text]


def _check_kind(name, text):
  """Raises ValueError if the value is none that DeepLab would take."""
  kind = deeplab.FLAGS[name].kind
  try:
    for part in _parts(name, text):
      if kind in (int, float) and not math.isfinite(kind(part)):
        raise ValueError
  except ValueError:
    number = 'whole number' if kind is int else 'number'
    raise ValueError(f'--{name}={text} is no {number}.') from None
  if kind is bool and text.lower() not in _SWITCH:
    raise ValueError(f'--{name}={text} must be true or false.')


_SWITCH = ('true', 'false', 't', 'f', '1', '0')


def _equal(name, text, other):
  """Whether two values of a flag are the same."""
  kind = deeplab.FLAGS[name].kind
  if kind is bool:
    return deeplab.is_true(text) == deeplab.is_true(other)
  return [*map(kind, _parts(name, text))] == [*map(kind, _parts(name, other))]


def instead(name: str, own: Collection[str]) -> str:
  """Returns a sentence on what to write for a flag of DeepLab's, '' for others.

  It is for flag files, which have our flags alone.
  """
  ours = [
    each for each in deeplab.FLAGS.get(name, deeplab.Flag()).ours if each in own
  ]
  if not ours:
    return ''
  return (
    f" It is DeepLab's, and has its meaning on a command line alone: write "
    f'--{ours[0]} here.'
  )


def _target(flag, own):
  """Returns our flag of a script, None if it has none."""
  if flag.beside and flag.beside not in own:
    return None
  return next((each for each in flag.ours if each in own), None)


def _refused(name, text, own):
  """Returns a note on a flag without ours; raises ValueError if it counts."""
  flag = deeplab.FLAGS[name]
  if flag.only:
    if not any(_equal(name, text, value) for value in flag.only):
      raise ValueError(f'--{name}={text}: {flag.why}')
    return ''
  if not flag.why:
    hint = aliases.suggestion(name, own)
    raise ValueError(
      f'There is no flag --{name} in this script.{hint} --help lists the flags.'
    )
  return flag.why


def understand(
  config_class: type[Config], theirs: Mapping[str, str], ours: Mapping[str, str]
) -> Meaning:
  """Returns what a command of DeepLab's means.

  Args:
    config_class: the script.
    theirs: {flag: text} of DeepLab's.
    ours: {flag: text} of those flags of our own that are given.

  Raises:
    ValueError: what DeepLab can be told and is not done here, two flags that
      contradict each other, or a value of another kind.
  """
  own = {field.name for field in dataclasses.fields(config_class)}
  for name, text in theirs.items():
    _check_kind(name, text)
  values = {name: flag.default for name, flag in deeplab.FLAGS.items()}
  values.update(ours)
  values.update(theirs)
  given: dict[str, str] = {}
  names: dict[str, str] = {}
  said: list[str] = []
  reasons: dict[str, list[str]] = {}  # why -> the flags without effect
  for name, text in theirs.items():
    flag = deeplab.FLAGS[name]
    target = _target(flag, own)
    value = flag.value(text, values) if target else None
    if target is None:
      reasons.setdefault(_refused(name, text, own), []).append(f'--{name}')
    elif value is None:
      reasons.setdefault(flag.why or deeplab.NO_EFFECT, []).append(f'--{name}')
    else:
      others = [
        (told, texts[target])
        for told, texts in (
          (f'--{target}={ours.get(target)}', ours),
          (names.get(target), given),
        )
        if target in texts
      ]
      _check_once(config_class, target, value, f'--{name}={text}', others)
      given[target], names[target] = value, f'--{name}={text}'
      said.append(
        f'--{name} is --{target}'
        if value == text
        else f'--{name}={text} is --{target}={value}'
      )
  taken = {**ours, **given}
  try:
    defaults = _defaults(own, values, taken) if given else {}
  except ValueError as error:
    raise ValueError(
      f'{error} The command is taken for one of DeepLab by '
      f'{", ".join(names.values())}.'
    ) from None
  notes = [
    *_summary(config_class, said, defaults),
    *(f'{", ".join(names)}: {why}' for why, names in reasons.items() if why),
    *(_others(own, taken, defaults) if given else []),
  ]
  return Meaning(given, defaults, names, notes)


def _typed(config_class, name, text):
  """Returns the value of a text, or itself if it has none."""
  field = config_class.__dataclass_fields__[name]
  kind, form = config_class.kind(field), field.metadata['form']
  try:
    if form:
      return form.parse(text)
    return deeplab.is_true(text) if kind is bool else kind(text)
  except ValueError:  # to be said with the others
    return text


def _check_once(config_class, target, value, name, others):
  """Raises ValueError if a flag is given in two forms with two values.

  Args:
    config_class: the script.
    target: our flag.
    value: its text.
    name: how it is given now.
    others: pairs (how it is given, text) of the same flag.
  """
  for other, text in others:
    if _typed(config_class, target, value) != _typed(
      config_class, target, text
    ):
      raise ValueError(
        f'{name} contradicts {other}, since both are --{target} here: leave '
        'one of them out.'
      )


def _defaults(own, values, taken):
  """Returns {our flag: text} of what DeepLab does if no flag says otherwise."""
  found: dict[str, str | None] = {}
  if deeplab.OF_TRAIN in own:
    if runs.to_resume(taken):
      return {}  # all is as the run was begun
    rows, more = deeplab.FLAGS, deeplab.TRAINING
  elif deeplab.OF_EVAL in own:
    rows, more = {'eval_split': deeplab.FLAGS['eval_split']}, {}
  else:
    rows, more = {}, deeplab.EXPORT
  for flag in rows.values():
    target = _target(flag, own)
    if flag.default and target and target not in taken:
      found[target] = found.get(target) or flag.value(flag.default, values)
  found.update((name, value(values)) for name, value in more.items())
  return {
    name: text
    for name, text in found.items()
    if text is not None and name in own and name not in taken
  }


def _summary(config_class, said, defaults):
  """Returns what was understood, and which of DeepLab's defaults count."""
  fields = config_class.__dataclass_fields__
  others = [
    f'--{name}={text}'
    for name, text in defaults.items()
    if fields[name].default is None
    or _typed(config_class, name, text) != fields[name].default
  ]
  found = [f"DeepLab's flags: {', '.join(said)}."] if said else []
  if others:
    found.append(
      f"DeepLab's defaults, where no flag says otherwise: {', '.join(others)}."
    )
  return found


def _others(own, taken, defaults):
  """Returns what DeepLab would do and is not done here."""
  if deeplab.OF_EVAL in own:
    return [] if 'checkpoints' in taken else [deeplab.ONCE]
  is_new = deeplab.OF_TRAIN in own and bool(defaults)
  has_rates = taken.get('decoder') != 'fcn' and 'atrous_rates' not in taken
  return [deeplab.RATES] if is_new and has_rates else []
