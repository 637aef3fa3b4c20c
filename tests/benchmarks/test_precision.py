"""float32 beside bfloat16: the table, the values, and where there is no AMX."""

import pytest

from benchmarks import precision
from engine.common import processor


def test_the_table(capsys):
  """Medians of ratios within turns; errors against float32, step by step."""
  precision.report(
    {
      'float32': [(2.0, [4.0], 900.0), (4.0, [4.0, 2.0], 1234.0)],
      'bfloat16': [(1.0, [4.2], 800.0), (1.0, [4.2, 2.2], 700.0)],
    },
    batch=6,
  )
  *_, exact, half = capsys.readouterr().out.splitlines()
  assert exact == (
    '| float32 | 2.0 | 1.00 | 1,234 | 4.0000 | 0.00% in the first step, 0.00% '
    'in 2 |'
  )
  assert half == (
    '| bfloat16 | 6.0 | 3.00 | 700 | 4.2000 | 5.00% in the first step, 7.50% '
    'in 2 |'
  )


def test_without_amx(monkeypatch, tmp_path, capsys):
  (tmp_path / 'cpuinfo').write_text('flags : fpu avx512f avx512_bf16\n')
  monkeypatch.setattr(processor, 'CPUINFO', tmp_path / 'cpuinfo')
  assert precision.kinds() == ['float32']
  assert 'lists no amx_bf16 instructions' in capsys.readouterr().out


@pytest.mark.slow
def test_all_train_the_same():
  losses = {}
  for kind in ('float32', 'bfloat16 by casts, as on a GPU'):
    run = precision.load(kind, 'resnet_v1_18', 32, 4)
    seconds, losses[kind], peak = run(2)
    assert seconds > 0 and peak > 0
  one, other = losses.values()
  assert len(one) == len(other) == 2 and one != other
  assert other[0] == pytest.approx(one[0], rel=0.02)
