"""Tiny networks under the names of other libraries."""

import types

import pytest

from engine.checkpoints.convert import proof, recognition
from tests.engine.checkpoints.convert import sources


@pytest.fixture
def tiny(workplace, monkeypatch):
  """The forms' networks are tiny, in an empty current folder."""
  monkeypatch.setattr(recognition, 'PUBLISHED', sources.PUBLISHED)
  sources.prove_on_small_images(monkeypatch)
  return workplace


@pytest.fixture
def unproved(monkeypatch):
  """Outputs are not compared; a list of what they were asked to be of."""
  calls = []

  def prove(form, values, network, options, folder):
    calls.append(
      types.SimpleNamespace(
        form=form, values=values, network=network, options=options
      )
    )
    return types.SimpleNamespace(as_json=lambda: {'features': 0.0})

  monkeypatch.setattr(proof, 'prove', prove)
  return calls
