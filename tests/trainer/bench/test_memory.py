"""The peak of one cell, not of the whole process."""

import sys
from pathlib import Path

import pytest

from trainer.bench.memory import PeakMemory

MIB = 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what a process has held")
def test_what_was_held_and_let_go_before_is_not_counted():
    before = PeakMemory()
    held = bytearray(b"x" * (300 * MIB))
    large = before.gib()
    del held
    after = PeakMemory().gib()
    assert large is not None
    assert after is not None
    assert large - after > 0.2


def test_where_nobody_tells_nothing_is_said(tmp_path: Path):
    assert PeakMemory(reset=tmp_path / "no" / "file").gib() is None
