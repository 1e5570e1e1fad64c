"""What screening keeps out: for each attacked case of a suite, poisoned rows left among the kept ones, and clean rows lost.

No adapter is trained: the frozen base model embeds each row once.

    python -m benchmarks.screening --data ~/datasets
    python -m benchmarks.screening --data ~/datasets --suite standard --output standard.json

Without ``--suite`` it screens triggers that no table names (`benchmarks/suites/screening.yaml`) and writes `docs/screening.md`. The figures of each case are
written as it ends; with ``--case`` those of other cases stay.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from rich.console import Console

from benchmarks.by_case import arguments, keep_figures, read_figures, require_cases
from benchmarks.documents import markdown_table, write_section
from p2p.selection import SelectionMethod
from trainer.base_model import find_base_model
from trainer.bench.cases import defended_case, make_case
from trainer.bench.lab import BenchLab
from trainer.bench.suite import Suite
from trainer.bench.suite_files import load_suite
from trainer.config import ClassificationSettings
from trainer.selection.choose import Candidates, choose
from trainer.selection.screening import SHARED
from trainer.selection.settings import SelectionSettings

SUITE = Path("benchmarks/suites/screening.yaml")
FIGURES = Path("benchmarks/results/screening.json")
PAGE = Path("docs/screening.md")


class Counted(TypedDict):
    """What screening did with a case's rows.

    Attributes:
        clean: How many rows the attacker neither changed nor added.
        poisoned_with_wrong_label: Of the poisoned rows, those whose label the attacker changed.
        kept: How many rows may be copied.
        clean_lost: How many rows that the attacker neither changed nor added were kept out for a feature or a beginning.
        features: How many features were not believed.
        seconds: What screening took once the rows were embedded.
    """

    case: str
    label: str
    rows: int
    clean: int
    poisoned: int
    poisoned_with_wrong_label: int
    kept: int
    kept_with_wrong_label: int
    clean_lost: int
    features: int
    seconds: float


def main() -> None:
    """Screen every case and print its counts as JSON lines."""
    parser = arguments(__doc__ or "", str(SUITE), "Only this one")
    parser.add_argument(
        "--output", type=Path, help="Where the figures go, as JSON; of another suite nowhere without it."
    )
    asked = parser.parse_args()

    suite = load_suite(asked.suite)
    require_cases(parser, suite, asked.case)
    output = asked.output or (FIGURES if asked.suite == str(SUITE) else None)
    base = find_base_model(suite.base_model)
    lab = BenchLab(base.path, suite.lora, suite.training, None, Console(quiet=True))
    known: dict[str, Counted] = read_figures(output) if asked.case and output else {}
    for name, case in suite.cases.items():
        if asked.case and name not in asked.case:
            continue
        if isinstance(suite.datasets[case.dataset].task, ClassificationSettings):
            known[name] = _screen(suite, name, lab, asked.data, asked.seed)
            if output:
                keep_figures(output, [known[each] for each in suite.cases if each in known])
    if output == FIGURES:
        write_section(PAGE, "screening", page(list(read_figures(output).values()), asked.seed))


def page(counted: Sequence[Counted], seed: int) -> str:
    """Return the counts as a table with a line that says what they come to."""
    lines = [
        (
            found["label"],
            f"{found['poisoned']} of {found['rows']}",
            f"{found['kept_with_wrong_label']}/{found['poisoned_with_wrong_label']}",
            f"{found['clean_lost']}",
            f"{found['kept']}",
        )
        for found in counted
    ]
    wrong = sum(found["poisoned_with_wrong_label"] for found in counted)
    kept = sum(found["kept_with_wrong_label"] for found in counted)
    clean = sum(found["clean"] for found in counted)
    lost = sum(found["clean_lost"] for found in counted)
    said = (
        f"{len(counted)} attacks, seed {seed}: {kept} of {wrong} rows with the attacker's label ({kept / wrong:.1%}) pass; {lost} of "
        f"{clean} other rows ({lost / clean:.1%}) are kept out for what they have in common."
    )
    columns = (
        "attack",
        "poisoned",
        "with a wrong label, that pass",
        "other rows kept out for what they share",
        "rows that pass",
    )
    return f"{said}\n\n{markdown_table(columns, lines)}"


def _screen(suite: Suite, name: str, lab: BenchLab, data: Path, seed: int) -> Counted:
    spec = suite.cases[name]
    dataset = suite.datasets[spec.dataset]
    rows = make_case(spec, dataset, data, seed)
    case = defended_case(rows, dataset, lab.tokenizer, seed)
    given = Candidates(rows.train, (), lambda texts: lab.embed(case, texts))
    # The lab keeps the frozen layers' states, so that what follows embeds only what is read anew.
    lab.embed(case, [row.text for row in rows.train])
    started = time.perf_counter()
    # All that is kept, not the share of it that is drawn.
    chosen = choose(case.task, given, SelectionSettings(method=SelectionMethod.SCREENED, rho=1.0), seed)
    seconds = time.perf_counter() - started
    kept = {row.id for row in chosen.selection.rows}
    reasons = chosen.screened.reasons if chosen.screened else {}
    before = {row.id: row for row in rows.clean}
    untouched = {row.id for row in rows.train if before.get(row.id) == row}
    wrong = {
        row.id for row in rows.train if row.id in rows.poisoned_ids and before[row.id].answer != row.answer
    }
    found = Counted(
        case=name,
        label=spec.label,
        rows=len(rows.train),
        clean=len(untouched),
        poisoned=len(rows.poisoned_ids),
        poisoned_with_wrong_label=len(wrong),
        kept=len(kept),
        kept_with_wrong_label=len(kept & wrong),
        clean_lost=sum(why in SHARED and row in untouched for row, why in reasons.items()),
        features=len(chosen.screened.triggers) if chosen.screened else 0,
        seconds=round(seconds, 1),
    )
    print(json.dumps(found), flush=True)
    return found


if __name__ == "__main__":
    main()
