"""The page of what screening lets pass: counts of cases, and what they come to."""

from benchmarks.screening import Counted, page


def counted(label: str, kept_with_wrong_label: int) -> Counted:
    return Counted(
        case=label,
        label=label,
        rows=100,
        clean=80,
        poisoned=20,
        poisoned_with_wrong_label=10,
        kept=60,
        kept_with_wrong_label=kept_with_wrong_label,
        clean_lost=4,
        features=1,
        seconds=0.1,
    )


def test_the_page_has_a_line_for_each_case_and_the_sums():
    said, _, _, _, *lines = page([counted("a word", 0), counted("a sentence", 1)], seed=3).splitlines()
    assert said.startswith(
        "2 attacks, seed 3: 1 of 20 rows with the attacker's label (5.0%) pass; 8 of 160 other"
    )
    assert lines == ["| a word | 20 of 100 | 0/10 | 4 | 60 |", "| a sentence | 20 of 100 | 1/10 | 4 | 60 |"]
