"""Features of images, as an array: python -m nets.extract --help.

A door and no more, since the command has its name from the networks. Its work
is that of the scripts (images that are files, checkpoints, runs), lies in
`engine/extract.py`, and is loaded by its name when the command is run: nothing
is imported with this module, and the library does without `engine`.
"""

import importlib
import pathlib
import sys

_ROOT = pathlib.Path(__file__).parents[1]


def main(argv: list[str] | None = None) -> int:
  """Extracts as the flags in `argv` say; returns the exit status."""
  argv = sys.argv if argv is None else argv
  if not (_ROOT / 'engine' / 'extract.py').exists():
    print(
      'error: python -m nets.extract reads checkpoints and images as the '
      'scripts do, which are not installed with the library: run it in a '
      'checkout of the project.',
      file=sys.stderr,
    )
    return 1
  if str(_ROOT) not in sys.path:  # as of a script that lies there
    sys.path.insert(0, str(_ROOT))
  flags = importlib.import_module('engine.config.flags')
  scripts = importlib.import_module('engine.config.scripts')
  return flags.run(
    scripts.ExtractConfig,
    'engine.extract:extract',
    ['-m nets.extract', *argv[1:]],
    takes_arguments=True,
  )


if __name__ == '__main__':
  sys.exit(main())
