"""Prints the networks: python -m nets [NAME ...] [--json]."""

import argparse
import json
import os
import sys
import warnings


def main(argv: list[str] | None = None) -> int:
  """Prints the table of networks; returns the exit status.

  Args:
    argv: the command line behind the program's name; the process's own if
      None.
  """
  parser = argparse.ArgumentParser(
    'python -m nets',
    description='Prints the networks: parameters and multiply-adds with their '
    'logits at the default image size, output strides, preprocessing, and '
    'pretrained weights with their published accuracy on ImageNet.',
  )
  parser.add_argument(
    'names', nargs='*', metavar='NAME', help='a network; all if none is named'
  )
  parser.add_argument('--json', action='store_true', help='print JSON')
  given = parser.parse_args(argv)
  # Imported here, so that --help answers at once and the level is set before.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  import tensorflow.compat.v1 as tf

  from nets import nets_factory
  from nets.catalogue import listing

  warnings.filterwarnings('ignore', message='.*layer.apply.*')
  tf.disable_tensor_equality()  # graphs are built in half the time
  try:
    listed = nets_factory.list_networks(given.names or None)
  except ValueError as error:
    print(f'error: {error}', file=sys.stderr)
    return 1
  if given.json:
    print(json.dumps([_as_dict(each) for each in listed], indent=2))
  else:
    print(listing.table(listed))
  return 0


def _as_dict(listed):
  weights = [each._asdict() for each in listed.pretrained]
  return {**listed._asdict(), 'pretrained': weights}


if __name__ == '__main__':
  sys.exit(main())
