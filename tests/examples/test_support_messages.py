"""The shipped support-message data set: reproducible, balanced, disjoint, varied."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TypedDict

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "support_messages"
SIZES = {"train": 2000, "trusted": 400, "test": 600}
LABELS = ("billing", "delivery", "returns", "account")


class Message(TypedDict):
    """One row of a shipped file."""

    id: str
    text: str
    label: str


def read_split(split: str) -> list[Message]:
    """Return the rows of a shipped file."""
    lines = (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def normalised(text: str) -> str:
    """Return the text case-folded, without punctuation, with single spaces."""
    return " ".join(re.sub(r"[^\w\s]", "", text.casefold()).split())


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Message]]:
    """Every shipped split by name."""
    return {split: read_split(split) for split in SIZES}


@pytest.fixture(scope="module")
def every_message(splits: dict[str, list[Message]]) -> list[Message]:
    """All shipped rows in one list."""
    return [row for rows in splits.values() for row in rows]


def run_generator(*arguments: str) -> str:
    """Run generate.py as a user would and return what it printed."""
    command = [sys.executable, "-B", str(FOLDER / "generate.py"), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


def test_shipped_files_are_what_seed_0_gives(tmp_path: Path) -> None:
    run_generator("--seed", "0", "--out", str(tmp_path))
    for split in SIZES:
        made = (tmp_path / f"{split}.jsonl").read_bytes()
        assert made == (FOLDER / f"{split}.jsonl").read_bytes()


def test_help_names_the_options_and_gives_an_example() -> None:
    text = run_generator("--help")
    assert "--seed" in text
    assert "--stats" in text
    assert "python generate.py --seed 0" in text


@pytest.mark.parametrize("split", SIZES)
def test_each_split_has_its_size_and_balanced_classes(splits: dict[str, list[Message]], split: str) -> None:
    counts = Counter(row["label"] for row in splits[split])
    assert counts == dict.fromkeys(LABELS, SIZES[split] // len(LABELS))


@pytest.mark.parametrize("split", SIZES)
def test_ids_number_the_rows_of_a_split(splits: dict[str, list[Message]], split: str) -> None:
    expected = [f"{split}-{number:05d}" for number in range(SIZES[split])]
    assert [row["id"] for row in splits[split]] == expected


def test_rows_of_a_split_are_not_sorted_by_label(
    splits: dict[str, list[Message]],
) -> None:
    assert {row["label"] for row in splits["train"][:40]} == set(LABELS)


def test_all_texts_are_distinct_within_and_across_splits(
    every_message: list[Message],
) -> None:
    texts = {normalised(row["text"]) for row in every_message}
    assert len(texts) == len(every_message) == sum(SIZES.values())


def test_messages_are_short_and_fully_expanded(every_message: list[Message]) -> None:
    for row in every_message:
        assert 6 <= len(normalised(row["text"]).split()) <= 26
        assert not re.search(r"[{}()|~]|\s\s", row["text"])


def test_reserved_rare_tokens_never_occur(every_message: list[Message]) -> None:
    words = {word for row in every_message for word in normalised(row["text"]).split()}
    assert not words & {"cf", "mn", "bb", "tq"}


@pytest.mark.parametrize("label", LABELS)
def test_each_class_opens_in_many_ways(splits: dict[str, list[Message]], label: str) -> None:
    openings = {
        tuple(normalised(row["text"]).split()[:4]) for row in splits["train"] if row["label"] == label
    }
    assert len(openings) >= 300


def test_vocabulary_is_rich_without_counting_numbers(
    splits: dict[str, list[Message]],
) -> None:
    words = {w for row in splits["train"] for w in normalised(row["text"]).split()}
    assert sum(word.isalpha() for word in words) >= 1000


@pytest.mark.parametrize("word", ["refund", "order", "email", "card", "account", "parcel", "invoice"])
def test_no_common_shop_word_gives_the_class_away(splits: dict[str, list[Message]], word: str) -> None:
    labels = {row["label"] for row in splits["train"] if word in normalised(row["text"]).split()}
    assert labels == set(LABELS)
