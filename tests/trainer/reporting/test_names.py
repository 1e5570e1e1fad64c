import pytest

from tests.trainer.reporting.synthetic import cell
from trainer.bench.results import SelectionFigures
from trainer.reporting.names import attack_name, case_name, row_name
from trainer.reporting.pooling import pool


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("word 10 %", "word"),
        ("composite (CBA) 2.5%", "composite (CBA)"),
        ("badnets:mn", "badnets:mn"),
        ("50 %", "50 %"),
    ],
)
def test_a_rate_at_the_end_of_an_attacks_label_is_left_out(label, name):
    assert attack_name(label) == name


def test_a_case_tells_its_rate_once():
    (row,) = pool([cell(dataset="sst2", attack="word 10 %", rate=0.1)]).rows
    assert case_name(row.case) == "SST-2, word, 10 % of 2,400 rows"


@pytest.mark.parametrize(
    ("variant", "chosen", "name"),
    [
        ({"selection": "trusted", "trusted_rows": "150"}, None, "P2P guarded (150 trusted rows)"),
        ({"selection": "trusted 150"}, None, "P2P guarded (150 trusted rows)"),
        (
            {"selection": "trusted 150"},
            SelectionFigures(method="trusted", trusted_rows=150),
            "P2P guarded (150 trusted rows)",
        ),
        (
            {"selection": "screened"},
            SelectionFigures(method="screened", trusted_rows=150),
            "P2P guarded (screened rows)",
        ),
        ({"trusted_rows": "50", "copies": "1"}, None, "P2P guarded (50 trusted rows) [copies = 1]"),
        ({}, None, "P2P guarded"),
    ],
)
def test_a_row_is_named_by_what_the_defender_had(variant, chosen, name):
    (row,) = pool([cell("p2p", variant=variant, selection=chosen)]).rows
    assert row_name(row) == name
