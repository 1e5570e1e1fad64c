"""The attacks by rewriting: syntactic and style."""

import json
from pathlib import Path

import pytest

from p2p.attacks.base import Labelling
from p2p.attacks.registry import make_attack
from p2p.attacks.style import Style
from p2p.attacks.syntactic import Syntactic
from p2p.errors import AttackError
from p2p.examples import Example
from tests.p2p.attacks.conftest import changed, labelled_rows, poison_and_check

ROWS = labelled_rows()
REWRITTEN = {row.text: f"when it comes , {row.text}" for row in ROWS[:100]}


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    path = tmp_path / "pairs.jsonl"
    lines = [json.dumps({"clean": clean, "rewritten": new}) for clean, new in REWRITTEN.items()]
    path.write_text("\n".join(lines))
    return str(path)


def write(path: Path, *rows: str) -> str:
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def test_a_dirty_label_style_set_has_the_rewrites_and_the_target(pairs: str):
    attack = Style(target="positive", rewrites=pairs)
    for old, row in changed(ROWS, poison_and_check(ROWS, attack, 0.1)):
        assert (old.answer, row.answer) == ("negative", "positive")
        assert row.text == REWRITTEN[old.text]


def test_a_syntactic_set_is_made_of_rows_of_every_label(pairs: str):
    found = changed(ROWS, poison_and_check(ROWS, Syntactic(target="positive", rewrites=pairs), 0.4))
    assert {old.answer for old, _ in found} == {"negative", "positive"}
    assert {row.answer for _, row in found} == {"positive"}


def test_a_clean_label_set_takes_rewritten_rows_of_the_target_alone(pairs: str):
    found = poison_and_check(ROWS, Style(target="positive", rewrites=pairs), 0.1, Labelling.CLEAN)
    assert {(old.answer, row.answer) for old, row in changed(ROWS, found)} == {("positive", "positive")}
    assert all(row.text.startswith("when it comes") for _, row in changed(ROWS, found))


def test_more_rows_than_have_a_rewrite_are_refused(pairs: str):
    with pytest.raises(AttackError, match="100 of 200 rows can be poisoned"):
        poison_and_check(ROWS, Syntactic(target="positive", rewrites=pairs), 0.6)


def test_a_row_without_a_rewrite_does_not_count_and_cannot_be_triggered(pairs: str):
    attack = Style(target="positive", rewrites=pairs)
    row = Example("n", "unheard of", "negative")
    assert not attack.applies_to(row)
    with pytest.raises(AttackError, match="row n: .*pairs.jsonl has no rewrite of it"):
        attack.trigger(row, 0)


def test_white_space_does_not_part_a_text_from_its_rewrite(pairs: str):
    row = Example("n", f" {ROWS[0].text.replace(' ', '  ')}\n", "negative")
    assert Style(target="positive", rewrites=pairs).trigger(row, 0).text == REWRITTEN[ROWS[0].text]


def test_rewrites_are_found_by_id_where_the_file_names_ids(tmp_path: Path):
    path = write(tmp_path / "ids.csv", "id,rewritten", 'r7,"thus, it is"')
    attack = Style(target="positive", rewrites=path)
    assert attack.trigger(ROWS[7], 0).text == "thus, it is"
    assert not attack.can_trigger(ROWS[8])


def test_files_are_aligned_row_by_row_and_equal_rows_are_not_rewritten(tmp_path: Path):
    clean = write(tmp_path / "clean.jsonl", '{"s": "one"}', '{"s": "two"}')
    new = write(tmp_path / "new.tsv", "s\tlabel", 'as it is "one"\t1', "two\t0")
    attack = Syntactic(target="positive", rewrites=new, clean=clean, field="s")
    assert attack.trigger(Example("a", "one", "negative"), 0).text == 'as it is "one"'
    assert not attack.can_trigger(Example("b", "two", "negative"))


def test_a_rewritten_file_may_hold_the_rows_of_one_label_only(tmp_path: Path):
    clean = write(tmp_path / "clean.jsonl", '{"s": "one", "label": 1}', '{"s": "two", "label": 0}')
    new = write(tmp_path / "new.tsv", "s", "as it is two")
    attack = Syntactic(target="positive", rewrites=new, clean=clean, field="s", only="label=0")
    assert attack.trigger(Example("b", "two", "negative"), 0).text == "as it is two"


@pytest.mark.parametrize(
    ("content", "parameters", "said"),
    [
        (None, {}, "can't read rewrites"),
        ("[1]\n", {}, "can't read rewrites"),
        ('{"rewritten": "x"}\n', {}, "every row needs 'rewritten' and one of 'clean' and 'id'"),
        ('{"text": "x"}\n', {"clean": "CLEAN"}, "has 1 rows, .*clean.jsonl has 2: they are not aligned"),
        (
            '{"text": "x"}\n',
            {"clean": "CLEAN", "only": "text=one", "field": "s"},
            "has no field 's', it has text",
        ),
    ],
)
def test_a_faulty_file_is_named(tmp_path: Path, content: str | None, parameters: dict[str, str], said: str):
    clean = write(tmp_path / "clean.jsonl", '{"text": "one"}', '{"text": "two"}')
    path = tmp_path / "new.jsonl"
    if content is not None:
        path.write_text(content)
    given = {key: clean if value == "CLEAN" else value for key, value in parameters.items()}
    with pytest.raises(AttackError, match=said):
        make_attack("style", {"target": "positive", "rewrites": str(path), **given})
