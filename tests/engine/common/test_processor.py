"""What /proc/cpuinfo says of the processor."""

from engine.common import processor

TEXT = """processor\t: 0
model name\t: A Processor: 2.0 GHz
flags\t\t: sse avx512f
processor\t: 1
model name\t: Another
flags\t\t: sse amx_bf16
"""


def test_what_it_can_and_is_called(monkeypatch, tmp_path):
  path = tmp_path / 'cpuinfo'
  path.write_text(TEXT)
  monkeypatch.setattr(processor, 'CPUINFO', path)
  assert {'sse', 'avx512f', 'amx_bf16'} < processor.instructions()
  assert processor.name() == 'A Processor: 2.0 GHz'


def test_where_there_is_no_such_file(monkeypatch, tmp_path):
  monkeypatch.setattr(processor, 'CPUINFO', tmp_path / 'none')
  assert processor.instructions() == set()
  assert processor.name()
