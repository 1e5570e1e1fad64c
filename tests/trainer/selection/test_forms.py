"""Whether rows that were kept out share a form, and what is then done with their clauses and with them."""

from collections.abc import Iterable

import pytest

from p2p.examples import Example
from p2p.selection import SelectionMethod, Suspect
from tests.trainer.selection.test_choose import MADE, POISONED, TRUSTED, chosen
from trainer.selection.forms import has_form, openings_of
from trainer.selection.screening import Screened, ScreeningSettings


def screened(reasons: dict[str, str]) -> Screened:
    return Screened(kept=(), reasons=reasons, belief={}, triggers=(), pure=())


def rows(name: str, with_clause: int, without: int) -> list[Example]:
    return [
        *(
            Example(f"{name}-{at}", f"when you see it , film {at} is dull", "yes")
            for at in range(with_clause)
        ),
        *(Example(f"{name}-plain-{at}", f"film {at} is dull", "yes") for at in range(without)),
    ]


def why(found: Iterable[Example], reason: str) -> dict[str, str]:
    return dict.fromkeys((row.id for row in found), reason)


@pytest.mark.parametrize("reason", ["feature", "beginning"])
def test_a_form_is_found_where_what_was_kept_out_begins_with_a_clause_more_often(reason: str):
    out, others = rows("out", 90, 10), rows("other", 30, 70)
    assert has_form([*out, *others], screened(why(out, reason)), 0.01)


def test_clauses_that_are_as_frequent_elsewhere_are_no_form():
    out, others = rows("out", 40, 60), rows("other", 35, 65)
    assert not has_form([*out, *others], screened(why(out, "feature")), 0.01)


def test_rows_that_are_doubted_by_themselves_share_no_form():
    out, others = rows("out", 90, 10), rows("other", 30, 70)
    assert not has_form([*out, *others], screened(why(out, "doubted")), 0.01)


def test_a_few_clauses_prove_nothing_where_others_have_none():
    out, others = rows("out", 1, 9), rows("other", 0, 100)
    assert not has_form([*out, *others], screened(why(out, "feature")), 0.01)


def test_nothing_that_was_kept_out_has_no_form():
    assert not has_form(rows("other", 50, 50), screened({}), 0.01)


def test_a_form_can_be_taken_for_granted():
    assert has_form(rows("other", 0, 10), screened({}), 1.0)


def test_openings_are_the_clauses_of_rows_that_were_kept_out():
    found = [
        Example("out", "when you see it , the film is dull", "yes"),
        Example("kept", "if it rains , the film is dull", "no"),
        Example("no-clause", "the film is dull", "yes"),
        Example("begins", "so it is , the film is dull", "yes"),
        Example("doubted", "the film , I hear , is dull", "no"),
    ]
    reasons = {"out": "feature", "no-clause": "doubted", "begins": "beginning", "doubted": "doubted"}
    # A clause that many rows have something in common with is used more often than one of a row that is doubted by itself.
    assert openings_of(found, screened(reasons)) == (
        Suspect(("when you see it ,",), 1.0, "yes", anchored=True),
        Suspect(("so it is ,",), 1.0, "yes", anchored=True),
        Suspect(("the film ,",), 0.1, "no", anchored=True),
    )


@pytest.mark.parametrize("method", list(SelectionMethod)[:2])
def test_without_a_form_nothing_is_dropped_and_no_copy_begins_with_a_clause(method: SelectionMethod):
    found = chosen(method.value, TRUSTED.rows)
    assert found.screened is not None
    assert "feature" in found.screened.reasons.values()
    assert not found.selection.dropped
    assert not found.selection.openings
    assert "opening_clauses" not in found.facts


def test_rows_that_share_a_form_are_in_neither_half():
    # The word's rows begin with no clause: the form is taken for granted.
    found = chosen("trusted", TRUSTED.rows, screening=ScreeningSettings(forms=1))
    assert found.selection.dropped >= POISONED
    assert len(found.selection.dropped) < len(MADE.rows) / 2
    kept = chosen("trusted", TRUSTED.rows, screening=ScreeningSettings(forms=1, drop=False))
    assert not kept.selection.dropped
