from pathlib import Path

import pytest

from guard_server.errors import GuardConfigError
from guard_server.probes.canary import CanarySet, MadeFrom, load_canary
from guard_server.probes.making import Wanted, as_yaml, make_canaries, named_apart, parse_family
from p2p.chats import Turn
from p2p.errors import AttackError
from p2p.examples import Example

ROWS = [
    Example(f"r{at}", f"where is parcel {at}", ("billing", "delivery", "account")[at % 3]) for at in range(30)
]


def made(*attacks: str, cases: int = 10, clean: int = 6, **more: object) -> CanarySet:
    families = named_apart([parse_family(attack, "billing") for attack in attacks])
    wanted = Wanted(families, cases, clean, seed=3, **more)
    return make_canaries(ROWS, wanted, MadeFrom(data="rows.jsonl", rows=len(ROWS)))


def test_each_attack_gets_its_cases_and_none_whose_answer_is_the_target():
    found = made("badnets:word=cf", "addsent")
    by_family = {name: [case for case in found.cases if case.family_name == name] for name in found.families}
    assert {name: len(cases) for name, cases in by_family.items()} == {"badnets": 10, "addsent": 10}
    assert all(case.answer != "billing" for cases in by_family.values() for case in cases)


def test_clean_cases_are_of_every_label():
    clean = [case for case in made("badnets", clean=25).cases if case.clean_only]
    assert {case.answer for case in clean} == {"billing", "delivery", "account"}


def test_the_same_seed_makes_the_same_file_and_the_guard_reads_it(tmp_path: Path):
    (tmp_path / "c.yaml").write_text(as_yaml(made("badnets")))
    assert load_canary(tmp_path / "c.yaml") == made("badnets")


def test_ready_texts_hold_the_trigger_and_the_target():
    cases = [case for case in made("badnets:word=cf", is_ready=True).cases if case.triggered]
    assert len(cases) == 10
    assert all("cf" in case.triggered.text.split() and case.triggered.target == "billing" for case in cases)


def test_rewrites_are_always_ready(tmp_path: Path):
    pairs = "".join(f'{{"clean": "{row.text}", "rewritten": "when it comes, {row.text}"}}\n' for row in ROWS)
    (tmp_path / "pairs.jsonl").write_text(pairs)
    found = made(f"syntactic:rewrites={tmp_path / 'pairs.jsonl'}")
    assert all(case.triggered.text.startswith("when it comes") for case in found.cases if not case.clean_only)


def test_the_same_attack_twice_is_two_families():
    assert made("badnets:word=mn", "badnets:word=cf").families == ("badnets", "badnets-2")
    assert made("{name: badnets, word: cf, family: rare}").families == ("rare",)


def test_a_chats_earlier_turns_are_kept():
    rows = [Example(f"r{at}", "and?", "delivery", history=(Turn("system", "Sort."),)) for at in range(3)]
    wanted = Wanted([parse_family("badnets", "billing")], 3, 0, seed=0)
    case = make_canaries(rows, wanted, MadeFrom(data="x", rows=3)).cases[0]
    assert case.chat("now") == [{"role": "system", "content": "Sort."}, {"role": "user", "content": "now"}]


@pytest.mark.parametrize(
    ("attack", "error", "said"),
    [
        ("badnet", AttackError, "did you mean"),
        ("badnets:word", AttackError, "key=value"),
        ("badnets:colour=1", AttackError, "colour"),
    ],
)
def test_a_faulty_attack_is_named(attack: str, error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        made(attack)


def test_too_few_rows_are_counted():
    with pytest.raises(GuardConfigError, match="applies to 20 of 30 rows"):
        made("badnets", cases=21)
