from pathlib import Path
from typing import Any

import pytest

from p2p.prompts import PromptKind, PromptTemplate
from p2p.repoison import TrainingRow
from p2p.tasks import GenerationTask
from trainer.encoding import encode_rows
from trainer.streaming import encoded
from trainer.streaming.encoded import MappedRows, encode_to

TASK = GenerationTask(prefix="Checked reply:\n", prefix_tokens=15)
TEMPLATE = PromptTemplate(kind=PromptKind.COMPLETION, user="{input}\nAnswer: ")
ROWS = [
    TrainingRow(
        f"r{at}", "word " * (at % 7 + 1), TASK.target_text("x" * at, extended=at % 2 == 1), at % 2 == 1
    )
    for at in range(20)
]


def encoder(tokenizer: Any, max_length: int) -> Any:
    return lambda rows: encode_rows(rows, TASK, tokenizer, TEMPLATE, max_length)


@pytest.fixture
def mapped(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> MappedRows:
    monkeypatch.setattr(encoded, "_ROWS_AT_ONCE", 6)
    encode_to(tmp_path, iter(ROWS), encoder(tokenizer, 60))
    return MappedRows(tmp_path)


def test_rows_on_disk_are_those_encoded_in_memory(mapped: MappedRows, tokenizer: Any):
    held = encode_rows(ROWS, TASK, tokenizer, TEMPLATE, 60).rows
    assert [row[1:] for row in mapped] == [row[1:] for row in held]
    assert len(mapped) == 20
    assert mapped.tokens == sum(len(row.ids) for row in held)


def test_rows_are_had_by_number_and_by_slice(mapped: MappedRows):
    every = list(mapped)
    assert mapped[-1] == every[19]
    assert mapped[3:9:2] == every[3:9:2]
    with pytest.raises(IndexError):
        mapped[20]


def test_rows_that_are_cut_are_counted(tmp_path: Path, tokenizer: Any):
    encode = encoder(tokenizer, 48)
    assert encode_to(tmp_path, ROWS, encode) == encode(ROWS).cut > 0
