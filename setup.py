"""For tools that know setup.py alone: what it says is in pyproject.toml."""

import setuptools

setuptools.setup()
