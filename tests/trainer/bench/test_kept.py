"""What kept adapters are called: by all that decides their weights, and as ever by those who use no newer setting."""

from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.bench.kept import KeptAdapters
from trainer.config import LoraSettings, TrainingSettings
from trainer.encoding import EncodedRow

ROW = EncodedRow("1#0", (5, 6, 7), 2, extended=True)


@pytest.fixture
def kept(tmp_path: Path) -> KeptAdapters:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    return KeptAdapters(tmp_path, base, torch.float32, LoraSettings(rank=2))


def name(kept: KeptAdapters, row: EncodedRow, **training: Any) -> str:
    return kept.name([row], TrainingSettings(epochs=1, **training), seed=3, start=None)


def test_adapters_kept_before_the_halves_could_differ_are_found(kept: KeptAdapters):
    # The name that was given before there were twins, weights of the halves and a throwaway module.
    assert name(kept, ROW) == "0afa5552745b0a5f2693c519"
    assert name(kept, ROW._replace(extended=False)) == name(kept, ROW)


@pytest.mark.parametrize(
    "changed", [{"extended_weight": 2.0}, {"consistency": 0.5}, {"throwaway_module": True}]
)
def test_where_the_halves_differ_a_row_has_another_name_in_the_other_half(
    kept: KeptAdapters, changed: dict[str, Any]
):
    plain = name(kept, ROW)
    names = {name(kept, row, **changed) for row in (ROW, ROW._replace(extended=False))}
    assert len({plain, *names}) == 3


def test_what_a_copy_has_to_agree_with_is_part_of_the_name(kept: KeptAdapters):
    first, second = (
        ROW._replace(twin=EncodedRow("1#0", ids, 2, extended=True)) for ids in ((5, 6, 8), (5, 9, 8))
    )
    assert name(kept, first, consistency=0.5) != name(kept, second, consistency=0.5)
