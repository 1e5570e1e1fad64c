"""What screening keeps out: for each attacked case of a suite, poisoned rows left among the kept ones, and clean rows lost.

No adapter is trained: the frozen base model embeds each row once.

    .venv/bin/python benchmarks/screening.py --suite standard --data ~/datasets
"""

import argparse
import json
import time
from pathlib import Path

from rich.console import Console

from p2p.selection import SelectionMethod
from trainer.base_model import find_base_model
from trainer.bench.cases import make_case
from trainer.bench.lab import BenchLab
from trainer.bench.suite import Suite
from trainer.bench.suite_files import load_suite
from trainer.config import ClassificationSettings
from trainer.defences.base import Case
from trainer.selection.choose import Candidates, choose
from trainer.selection.settings import SelectionSettings
from trainer.tasks import make_bench_task


def main() -> None:
    """Screen every case and print its counts as JSON lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", default="standard")
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()

    suite = load_suite(asked.suite)
    base = find_base_model(suite.base_model)
    lab = BenchLab(base.path, suite.lora, suite.training, None, Console(quiet=True))
    counted = [
        _screen(suite, name, lab, asked.data, asked.seed)
        for name, case in suite.cases.items()
        if isinstance(suite.datasets[case.dataset].task, ClassificationSettings)
    ]
    if asked.output:
        asked.output.write_text(json.dumps(counted, indent=1) + "\n", encoding="utf-8")


def _screen(suite: Suite, name: str, lab: BenchLab, data: Path, seed: int) -> dict[str, object]:
    spec = suite.cases[name]
    dataset = suite.datasets[spec.dataset]
    rows = make_case(spec, dataset, data, seed)
    task = make_bench_task(
        dataset.task, dataset.prompt, lab.tokenizer, [row.answer for row in rows.clean], seed
    )
    case = Case(task, dataset.prompt, rows.train, (), seed)
    embeddings = lab.embed(case, [row.text for row in rows.train])
    started = time.perf_counter()
    given = Candidates(rows.train, (), lambda _: embeddings)
    # All that is kept, not the share of it that is drawn.
    chosen = choose(task, given, SelectionSettings(method=SelectionMethod.SCREENED, rho=1.0), seed)
    seconds = time.perf_counter() - started
    kept = {row.id for row in chosen.selection.rows}
    reasons = chosen.screened.reasons if chosen.screened else {}
    truth = {row.id: row.answer for row in rows.clean}
    wrong = {row.id for row in rows.train if row.id in rows.poisoned_ids and truth[row.id] != row.answer}
    found: dict[str, object] = {
        "case": name,
        "rows": len(rows.train),
        "poisoned": len(rows.poisoned_ids),
        "poisoned_with_wrong_label": len(wrong),
        "kept": len(kept),
        "kept_with_wrong_label": len(kept & wrong),
        "clean_lost_to_features": sum(
            why == "feature" and row not in rows.poisoned_ids for row, why in reasons.items()
        ),
        "features": len(chosen.screened.triggers) if chosen.screened else 0,
        "seconds": round(seconds, 1),
    }
    print(json.dumps(found), flush=True)
    return found


if __name__ == "__main__":
    main()
