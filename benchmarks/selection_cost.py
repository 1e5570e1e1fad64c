"""What choosing rows costs, as a share of the training that follows it in the same process.

Each case begins with nothing in memory: the frozen layers are run on every row of the training set, rows are chosen, and an adapter is trained.
The frozen layers' states serve both: the training would have to compute them if nothing were chosen.

    python -m benchmarks.selection_cost --data ~/datasets
    python -m benchmarks.selection_cost --data ~/datasets --case sentence-5 --case covered-sentence

Five to fifteen minutes a case on two cores. The figures go to `benchmarks/results/selection-cost.json` as each case ends, and from there to
`docs/selection-cost.md`; those of cases that are not asked for stay.
"""

import json
from pathlib import Path
from typing import TypedDict

from rich.console import Console

from benchmarks.by_case import arguments, keep_figures, read_figures, require_cases
from benchmarks.documents import markdown_table, when, write_section
from trainer.base_model import find_base_model
from trainer.bench.cases import defended_case, make_case
from trainer.bench.lab import BenchLab
from trainer.bench.selector import Selector
from trainer.bench.suite import Suite
from trainer.bench.suite_files import load_suite
from trainer.defences.poison_to_poison import PoisonToPoison

CASES = ("word-10", "agnews-word")
FIGURES = Path("benchmarks/results/selection-cost.json")
PAGE = Path("docs/selection-cost.md")


class Timed(TypedDict):
    """Seconds of one case.

    Attributes:
        rows: How many rows there are to choose from.
        chosen: How many rows are copied.
        states: What the frozen layers took on the rows to choose from.
        choosing: What choosing took after that.
        training: What the training took, which finds those states there.
        measured: The day, and how busy the machine was.
    """

    case: str
    label: str
    rows: int
    chosen: int
    states: float
    choosing: float
    training: float
    measured: str


def main() -> None:
    """Time each case, and write the page."""
    parser = arguments(__doc__ or "", "full", f"Instead of {', '.join(CASES)}")
    parser.add_argument("--defence", default="p2p-screened")
    asked = parser.parse_args()

    suite = load_suite(asked.suite)
    names = tuple(asked.case or CASES)
    require_cases(parser, suite, names)
    known: dict[str, Timed] = read_figures(FIGURES)
    for name in names:
        known[name] = _time(suite, name, asked.defence, asked.data, asked.seed)
        print(json.dumps(known[name]), flush=True)
        keep_figures(FIGURES, known.values())
    write_section(PAGE, "selection cost", page(list(known.values())))


def page(timed: list[Timed]) -> str:
    """Return the seconds as a table, with the shares and what they come to."""
    lines = [
        (
            found["label"],
            f"{found['rows']:,}",
            f"{found['states']:.0f} s",
            f"{found['choosing']:.0f} s",
            f"{found['training']:.0f} s",
            f"{share(found):.1%}",
            f"{share_with_states(found):.1%}",
            found["measured"],
        )
        for found in timed
    ]
    columns = (
        "case",
        "rows",
        "frozen layers",
        "choosing",
        "training",
        "choosing as a share",
        "with the frozen layers",
        "measured on",
    )
    own, whole = [share(found) for found in timed], [share_with_states(found) for found in timed]
    said = (
        f"{len(timed)} cases: choosing takes {min(own):.1%} to {max(own):.1%} of the training's time, or {min(whole):.1%} to "
        f"{max(whole):.1%} where the frozen layers, which the training needs as well, are counted as its own."
    )
    return f"{said}\n\n{markdown_table(columns, lines)}"


def share(found: Timed) -> float:
    """Return what choosing took, as a share of the training with the frozen layers."""
    return found["choosing"] / (found["training"] + found["states"])


def share_with_states(found: Timed) -> float:
    """Return what choosing took with the frozen layers, as a share of the training without."""
    return (found["choosing"] + found["states"]) / found["training"]


def _time(suite: Suite, name: str, defence: str, data: Path, seed: int) -> Timed:
    spec, how = suite.cases[name], suite.defences[defence]
    dataset = suite.datasets[spec.dataset]
    base = find_base_model(suite.base_model)
    lab = BenchLab(
        base.path, suite.lora_of(name, defence), suite.training_of(name, defence), None, Console(quiet=True)
    )
    rows = make_case(spec, dataset, data, seed)
    case = defended_case(rows, dataset, lab.tokenizer, seed)
    case = case._replace(trusted=rows.trusted if how.trusted else ())
    selector = Selector(how, lab, lab)
    fitted = PoisonToPoison(select=selector, repoison=how.repoison).defend(case, lab).fitted
    chosen = selector.figures(rows)
    if fitted is None or chosen is None:
        raise ValueError(f"{defence} trains nothing, or chooses nothing")
    return Timed(
        case=name,
        label=f"{spec.label} ({spec.dataset})",
        rows=len(rows.train),
        chosen=chosen.kept,
        states=round(selector.shared_seconds, 1),
        choosing=round(selector.seconds, 1),
        training=round(fitted.seconds, 1),
        measured=when(),
    )


if __name__ == "__main__":
    main()
