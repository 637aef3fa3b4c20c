"""Addresses of workers, 'host:port'.

Nothing here imports TensorFlow.
"""

import ipaddress
import json
import re
from collections.abc import Iterable
from typing import Any

_SHOWN = 60  # characters of a value in a sentence


def shown(value: Any) -> str:
  """Returns a value as JSON, to be quoted in a sentence.

  >>> shown('a:2222'), shown(None)
  ('"a:2222"', 'null')
  """
  text = json.dumps(value)
  return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'


def split(address: str) -> tuple[str, int]:
  """Returns the host, an IPv6 address without its brackets, and the port.

  Raises:
    ValueError: it is no address. The error goes on behind the address.

  >>> split('a:2222'), split('[::1]:2222')
  (('a', 2222), ('::1', 2222))
  """
  if '://' in address:
    raise ValueError(
      f'begins with {shown(address.partition("://")[0] + "://")}: write '
      'host:port, without it'
    )
  found = re.fullmatch(r'(\[[^]]*\]|[^][:]*):([^][:]*)', address)
  if not found and address.count(':') > 1 and '[' not in address:
    raise ValueError(
      'has several colons: write host:port, and an IPv6 address in brackets, '
      'such as "[::1]:2222"'
    )
  if not found or not found[2]:
    raise ValueError('has no port: write host:port, such as "host1:2222"')
  _check_host(found[1])
  return found[1].strip('[]'), _port(found[2])


def _port(text):
  if not (text.isascii() and text.isdigit()):
    raise ValueError(
      f'has the port {shown(text)}, which is no number: write host:port, such '
      'as "host1:2222"'
    )
  # Python refuses to read numbers of very many digits.
  if len(text) > 5 or not 1 <= int(text) <= 65535:
    raise ValueError(
      f'has the port {shown(text)}: a port is a number from 1 to 65535'
    )
  return int(text)


def _check_host(host):
  if not host:
    raise ValueError(
      'has no host before the port: write host:port, such as "host1:2222"'
    )
  if host.startswith('['):
    try:
      ipaddress.IPv6Address(host[1:-1])
    except ValueError:
      raise ValueError(
        f'has {shown(host)} for its host: in brackets stands an IPv6 address, '
        'such as "[::1]:2222"'
      ) from None
  elif not re.fullmatch('[A-Za-z0-9._-]{1,253}', host):
    raise ValueError(
      f'has the host {shown(host)}: a name of a host has letters, digits, '
      'hyphens and dots alone'
    )


def key(address: str) -> tuple[str, int]:
  """Returns what is equal for two ways to write an address.

  Raises:
    ValueError: it is no address; see `split`.

  >>> key('[::0001]:2222') == key('[0:0::1]:2222'), key('A:80') == key('a:80')
  (True, True)
  """
  host, port = split(address)
  if ':' in host:
    host = str(ipaddress.IPv6Address(host))
  return host.lower(), port


def check(places: Iterable[tuple[str, Any]]) -> tuple[str, ...]:
  """Returns the addresses, each of which is one, and another than the others.

  Args:
    places: what each is called, with which a sentence begins, and its value.

  Raises:
    ValueError: a value is no address, or has been there before.

  >>> check([('The first', 'a:2222'), ('The second', 'a:x')])
  Traceback (most recent call last):
  ValueError: The second is "a:x", and has the port "x", which is no number: \
write host:port, such as "host1:2222".
  """
  taken: dict[tuple[str, int], str] = {}
  found = []
  for where, address in places:
    if not isinstance(address, str):
      raise ValueError(
        f'{where} is {shown(address)}, and should be a text, such as '
        '"host1:2222".'
      )
    try:
      own = key(address)
    except ValueError as error:
      raise ValueError(f'{where} is {shown(address)}, and {error}.') from None
    if own in taken:
      raise ValueError(
        f'{where} is {shown(address)}, the address that {taken[own]} has '
        'already: each worker has an address of its own. On one machine they '
        'differ by the port.'
      )
    taken[own] = where
    found.append(address)
  return tuple(found)
