"""How far an artefact is from its checkpoint, and how far it may be."""

import numpy as np
import pytest

from engine.config.export import TOLERANCES
from engine.export import parity

FLOAT, INT8 = TOLERANCES[None], TOLERANCES['int8']


def test_probabilities():
  wanted = {'probabilities': np.array([[0.8, 0.2], [0.4, 0.6]])}
  found = {'probabilities': np.array([[0.4, 0.6], [0.4, 0.6]])}
  measured = parity.compare([wanted, wanted], [wanted, found], 2)
  assert measured == {
    'probabilities': {'error': pytest.approx(0.5), 'same_first_class': 0.75}
  }


def test_masks():
  wanted = np.zeros((1, 4, 5), np.int32)
  wanted[:, 2:] = 1
  found = wanted.copy()
  found[0, 0, 0] = 1
  measured = parity.compare([{'classes': wanted}], [{'classes': found}], 3)
  assert measured['classes'] == {
    'same_pixels': pytest.approx(19 / 20),
    'miou': pytest.approx((9 / 10 + 10 / 11) / 2),
  }


@pytest.mark.parametrize(
  'tolerance,measures,wrong',
  [
    (FLOAT, {'error': 0.9e-4}, []),
    (FLOAT, {'error': 1.1e-4}, ['error of x 0.00011']),
    (FLOAT, {'error': float('nan')}, ['error of x nan']),
    (INT8, {'error': 0.5}, []),
    (INT8, {'error': float('inf')}, ['error of x inf']),
    (FLOAT, {'same_first_class': 1 - 1 / 32}, []),
    (FLOAT, {'same_first_class': 1 - 2 / 32}, ['same first class of x 0.938']),
    (FLOAT, {'same_pixels': 0.9979}, ['same pixels of x 0.998']),
    (FLOAT, {'miou': 0.97}, ['miou of x 0.97']),
    (INT8, {'miou': 0.97, 'same_pixels': 0.99}, []),
  ],
)
def test_beyond(tolerance, measures, wrong):
  assert parity.beyond({'x': measures}, tolerance, 32) == wrong
