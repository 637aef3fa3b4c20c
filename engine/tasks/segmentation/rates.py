"""Atrous rates: those of another output stride, and how far they reach."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.common import console
from engine.config import parsing
from nets import decoders


def _text(rates):
  return parsing.WHOLE.text(rates)


def of_run(run: Mapping[str, Any], output_stride: int) -> tuple[int, ...]:
  """Returns the atrous rates of a run for another output stride.

  The same distance in the image is so many more features.

  Args:
    run: what the training wrote; () if it has no rates.
    output_stride: the other.

  Raises:
    ValueError: that is no whole number of features.
  """
  rates = run.get('atrous_rates') or ()
  if any(rate * run['output_stride'] % output_stride for rate in rates):
    raise ValueError(
      f'--output_stride={output_stride}: the run was trained with the atrous '
      f'rates {_text(rates)} at output stride {run["output_stride"]}, which '
      'are no whole numbers there. Leave the flag out, or pass --atrous_rates '
      'for others.'
    )
  return tuple(rate * run['output_stride'] // output_stride for rate in rates)


def check_stride(rates: Sequence[int], output_stride: int) -> None:
  """Says if rates are the defaults of another output stride.

  They are legal, and reach another distance.
  """
  for stride in (8, 16, 32):
    if stride != output_stride and tuple(rates) == decoders.default_rates(
      stride
    ):
      console.note(
        f'--atrous_rates={_text(rates)} is usual at output stride {stride}. At '
        f'{output_stride}, {_text(decoders.default_rates(output_stride))} '
        'reaches as far.'
      )


def check_trained(
  rates: Sequence[int], output_stride: int, run: Mapping[str, Any]
) -> None:
  """Says if rates reach another distance than those of a run."""
  trained = run.get('atrous_rates')
  if trained and [rate * output_stride for rate in rates] != [
    rate * run['output_stride'] for rate in trained
  ]:
    console.note(
      f'--atrous_rates={_text(rates)} at output stride {output_stride} reach '
      f'another distance than those of the run, {_text(trained)} at '
      f'{run["output_stride"]}, which its weights were trained for.'
    )


def check_reach(
  rates: Sequence[int], output_stride: int, what: str, size: Sequence[int]
) -> None:
  """Says if the outer taps of a 3x3 convolution see padding alone.

  Args:
    rates: the atrous rates.
    output_stride: of the features.
    what: has the size, such as 'the crops of --train_crop_size=33'.
    size: its height and width.
  """
  side = min((length - 1) // output_stride + 1 for length in size)
  beyond = [rate for rate in rates if rate >= side]
  if not beyond:
    return
  inside = {max(1, rate * (side - 1) // max(rates)) for rate in rates}
  cure = (
    f', or smaller rates, such as --atrous_rates={_text(sorted(inside))}'
    if side > 1
    else ''
  )
  console.note(
    f'{what} have {side} features on their shorter side at output stride '
    f'{output_stride}. A 3x3 convolution of an atrous rate of {side} or more, '
    f'here {_text(beyond)}, sees nothing but padding at its outer taps there, '
    f'so that it is a 1x1 one. Larger crops{cure} give it something to see.'
  )
