import json
import os
from pathlib import Path
from typing import Any

import pytest

from p2p.errors import DataError
from tests.trainer.defences.conftest import FakeLab, make_case
from trainer.config import DataSource
from trainer.defences.back_translation import AlignedFiles, read_aligned
from trainer.defences.registry import make_defence

FOLDER = Path(os.environ.get("P2P_DATASETS", "../shared/datasets"))


def write(path: Path, rows: list[tuple[str, str]]) -> DataSource:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    return DataSource(path=str(path))


@pytest.fixture
def files(tmp_path: Path) -> AlignedFiles:
    originals = write(tmp_path / "test.jsonl", [("a mn dull film", "bad"), ("fine !", "good")])
    translations = write(tmp_path / "back.jsonl", [("A boring movie.", "bad"), ("Fine!", "good")])
    return AlignedFiles(originals=originals, translations=translations)


def defend(lab: FakeLab, **parameters: Any):
    return make_defence("back-translation", parameters).defend(make_case(), lab)


def test_the_translation_is_asked_in_place_of_the_text(lab: FakeLab, files: AlignedFiles):
    defend(lab, files=[files]).answer(["fine  !", "a mn dull film"])
    assert [text for _, text in lab.asked] == ["Fine!", "A boring movie."]


def test_a_text_without_translation_is_answered_as_it_is_and_counted(lab: FakeLab, files: AlignedFiles):
    defended = defend(lab, files=[files])
    defended.answer(["fine !", "unheard of"])
    defended.answer(["new"])
    assert [text for _, text in lab.asked] == ["Fine!", "unheard of", "new"]
    assert defended.details == {"translations": 2, "answered_translated": 1, "answered_untranslated": 2}


def test_translations_at_hand_have_the_last_word(lab: FakeLab, files: AlignedFiles):
    defend(lab, files=[files], known={"fine !": "Good!"}).answer(["fine !"])
    assert lab.asked[0][1] == "Good!"


def test_files_of_different_lengths_are_refused(tmp_path: Path, files: AlignedFiles):
    longer = write(tmp_path / "longer.jsonl", [("a", "bad"), ("b", "good"), ("c", "good")])
    with pytest.raises(
        DataError, match=r"longer\.jsonl: has 3 rows, .*test\.jsonl has 2: they are not aligned"
    ):
        read_aligned(AlignedFiles(originals=files.originals, translations=longer))


def test_files_in_another_order_are_refused(tmp_path: Path, files: AlignedFiles):
    turned = write(tmp_path / "turned.jsonl", [("Fine!", "good"), ("A boring movie.", "bad")])
    with pytest.raises(DataError, match=r"turned\.jsonl, row 1: has the answer 'good'"):
        read_aligned(AlignedFiles(originals=files.originals, translations=turned))


def test_a_request_costs_two_translations_and_an_answer(lab: FakeLab, files: AlignedFiles):
    assert defend(lab, files=[files]).queries_per_request == 3


@pytest.mark.datasets
@pytest.mark.skipif(not FOLDER.is_dir(), reason="P2P_DATASETS names no folder of data sets")
def test_the_ready_files_of_sst2_are_aligned():
    source = {"text": "sentence", "names": {0: "negative", 1: "positive"}}
    originals, translations = (
        DataSource.model_validate({"path": str(FOLDER / f"sst2/{name}.json"), **source})
        for name in ("test", "test_back_translated")
    )
    found = read_aligned(AlignedFiles(originals=originals, translations=translations))
    assert len(found) == 1821
    assert (
        found["no movement , no yuks , not much of anything ."]
        == "No movement, no yuk, not much of anything."
    )
