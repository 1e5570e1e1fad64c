"""Every case of the shipped suites has the rows that it asks for in the published sets."""

import os
from pathlib import Path

import pytest

from trainer.bench.cases import make_case
from trainer.bench.suite_files import load_suite

FOLDER = Path(os.environ.get("P2P_DATASETS", "../shared/datasets"))
SUITES = {name: load_suite(name) for name in ("standard", "generation", "full")}
pytestmark = [
    pytest.mark.datasets,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="P2P_DATASETS names no folder of data sets"),
]


@pytest.mark.parametrize(
    ("suite", "case"), [(name, case) for name, suite in SUITES.items() for case in suite.cases]
)
def test_a_case_can_be_made(suite: str, case: str):
    spec = SUITES[suite].cases[case]
    made = make_case(spec, SUITES[suite].datasets[spec.dataset], FOLDER, seed=0)
    assert len(made.trusted) == spec.trusted_rows
    assert made.test
    assert bool(made.poisoned_ids) == bool(spec.rate)


@pytest.mark.parametrize("suite", SUITES)
def test_no_defence_wants_more_trusted_rows_than_its_case_has(suite: str):
    found = SUITES[suite]
    for block in found.grid:
        for case in block.cases:
            for defence in block.defences:
                wanted = found.defences[defence].trusted_rows
                assert wanted is None or wanted <= found.cases[case].trusted_rows, (case, defence)
