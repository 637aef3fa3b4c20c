"""When a script asks for huge pages, and how it starts again."""

import os
import platform
import subprocess
import sys

import pytest

from engine.common import huge_pages


@pytest.fixture
def machine(monkeypatch, tmp_path):
  """A machine that gives huge pages to who asks."""
  path = tmp_path / 'enabled'
  path.write_text('always [madvise] never\n')
  monkeypatch.setattr(huge_pages, 'ENABLED', path)
  monkeypatch.setattr(platform, 'libc_ver', lambda: ('glibc', '2.36'))
  return path


@pytest.mark.parametrize(
  'given, wanted',
  [
    (None, 'glibc.malloc.hugetlb=1'),
    ('', 'glibc.malloc.hugetlb=1'),
    ('glibc.malloc.check=1', 'glibc.malloc.check=1:glibc.malloc.hugetlb=1'),
  ],
)
def test_it_asks(machine, given, wanted):
  before = {'HOME': '/'}
  if given is not None:
    before['GLIBC_TUNABLES'] = given
  found = huge_pages.environment(before)
  assert found == {'HOME': '/', 'GLIBC_TUNABLES': wanted}
  assert huge_pages.environment(found) is None  # and not again


def test_what_was_said_stays(machine):
  assert (
    huge_pages.environment({'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=0'}) is None
  )


@pytest.mark.parametrize(
  'text', ['[always] madvise never', 'always madvise [never]']
)
def test_where_linux_gives_them_to_all_or_to_none(machine, text):
  machine.write_text(text)
  assert huge_pages.environment({}) is None


def test_where_nothing_is_known(machine, monkeypatch):
  monkeypatch.setattr(huge_pages, 'ENABLED', machine / 'none')
  assert huge_pages.environment({}) is None


@pytest.mark.parametrize(
  'library', [('glibc', '2.31'), ('', ''), ('musl', '1.2')]
)
def test_other_c_libraries(machine, monkeypatch, library):
  monkeypatch.setattr(platform, 'libc_ver', lambda: library)
  assert huge_pages.environment({}) is None


def test_a_script_starts_again_once_with_its_arguments(machine, tmp_path):
  """In the same process, with the same flags of Python."""
  script = tmp_path / 'script.py'
  script.write_text(
    'import os, pathlib, platform, sys\n'
    'print(os.getpid(), flush=True)\n'
    'from engine.common import huge_pages\n'
    f'huge_pages.ENABLED = pathlib.Path({str(machine)!r})\n'
    "platform.libc_ver = lambda: ('glibc', '2.36')\n"
    'huge_pages.ask()\n'
    "print(os.environ['GLIBC_TUNABLES'], sys.argv[1:], sys.flags.optimize)\n"
  )
  environ = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
  environ.pop('GLIBC_TUNABLES', None)
  printed = subprocess.run(
    [sys.executable, '-O', str(script), '--flag=a b', '*'],
    capture_output=True,
    text=True,
    env=environ,
    check=True,
  ).stdout.splitlines()
  assert printed[0] == printed[1]
  assert printed[2:] == ["glibc.malloc.hugetlb=1 ['--flag=a b', '*'] 1"]
