from decimal import Decimal

import pytest

from p2p.final_number import final_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("51", "51"),
        ("48/2 = 24 clips.\n#### 72", "72"),
        ("#### $1,200.50", "1200.50"),
        ("It is 3 or 4.", "4"),
        ("minus -2.5", "-2.5"),
        ("no idea", None),
        ("#### none, but 4 before", "4"),
    ],
)
def test_the_number_of_the_answer_line_or_the_last_one(text: str, number: str | None):
    assert final_number(text) == (None if number is None else Decimal(number))
