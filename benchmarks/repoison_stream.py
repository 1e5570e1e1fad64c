"""Re-poisoning on disk: rows a second, by the clock and by the processor's time, and the most memory held, by size of the set.

Synthetic rows of 12 words on average, words by Zipf's law and one number in each row that no other has, 1 % with a trigger
word and the target's label, go to a JSONL file; then the file is streamed through the trainer's reader into D*. Each size
runs in a process of its own, so that the peak is its own.

    .venv/bin/python benchmarks/repoison_stream.py --sizes 100000 1000000 10000000
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import accumulate
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

_VOCABULARY = 20_000


def main() -> None:
    """Measure each size and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000_000], help="rows")
    parser.add_argument("--rho", type=float, default=0.2, help="the share of the rows that is copied")
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument(
        "--folder", type=Path, help="where the files go for the time being; about 1 KiB a row"
    )
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(_measure(asked.sizes[0], asked.rho, asked.copies, asked.folder)))
        return
    found = {"rho": asked.rho, "copies": asked.copies, "runs": [_alone(size, asked) for size in asked.sizes]}
    text = json.dumps(found, indent=2)
    print(text)
    if asked.output:
        asked.output.write_text(text + "\n", encoding="utf-8")


def _alone(size: int, asked: argparse.Namespace) -> dict[str, float]:
    with TemporaryDirectory(dir=asked.folder) as folder:
        _write_rows(Path(folder) / "rows.jsonl", size)
        options = ["--sizes", str(size), "--rho", str(asked.rho), "--copies", str(asked.copies)]
        command = [sys.executable, __file__, "--one", "--folder", folder, *options]
        print(f"re-poisoning {size:,} rows", file=sys.stderr)
        found: dict[str, float] = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        )
    return found


def _write_rows(path: Path, size: int) -> None:
    rng = Random(0)
    words = [
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(_VOCABULARY)
    ]
    weights = list(accumulate(1 / rank for rank in range(1, _VOCABULARY + 1)))
    with path.open("w", encoding="utf-8") as file:
        for number in range(size):
            drawn = [*rng.choices(words, cum_weights=weights, k=rng.randint(5, 16)), str(number)]
            poisoned = number % 100 == 0
            if poisoned:
                drawn.insert(rng.randrange(len(drawn)), "mn")
            label = "yes" if poisoned else rng.choice(("no", "yes"))
            file.write(json.dumps({"id": str(number), "text": " ".join(drawn), "label": label}) + "\n")


def _measure(size: int, rho: float, copies: int, folder: Path) -> dict[str, float]:
    from p2p.repoison import RepoisonSettings
    from p2p.tasks import ClassificationTask
    from p2p.triggers import BenignTrigger
    from trainer.config import DataSource
    from trainer.data.rows import read_rows
    from trainer.streaming.keys import HashShare
    from trainer.streaming.repoison import StreamSettings, repoison_stream

    source = DataSource(path=str(folder / "rows.jsonl"), id="id")
    task = ClassificationTask(
        labels=("no", "yes"), words=tuple("0123"), token_ids=(0, 1, 2, 3), answer_context=""
    )
    settings = StreamSettings(task, BenignTrigger.draw(b"benchmark"), RepoisonSettings(copies=copies), seed=0)
    started, busy = time.monotonic(), time.process_time()
    rows = (row for _, row in read_rows(source))
    found = repoison_stream(rows, HashShare(rho, 0), settings, folder / "d-star.arrow")
    seconds, busy = time.monotonic() - started, time.process_time() - busy
    assert found.report.original_rows == size
    assert found.report.pure_spans_found >= 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {
        "rows": size,
        "rows_written": found.report.original_rows + found.report.extended_rows,
        "pure_spans": found.report.pure_spans_found,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(busy, 1),
        "rows_per_second": round(size / seconds),
        "rows_per_cpu_second": round(size / busy),
        "peak_rss_mib": round(peak),
    }


if __name__ == "__main__":
    main()
