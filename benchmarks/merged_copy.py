"""What merging an adapter into the base model costs: a merged copy and the base model, each on its own vLLM, asked in turns for one token.

Of two engines on one machine the one that was started first can be slower from then on, two of one model too: both orders are measured, and the
change is the mean of both.

    .venv/bin/python -m benchmarks.merged_copy --write
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.documents import LOAD_DOCUMENT, where, write_figures, write_section
from benchmarks.serving_bed import client_request, free_port, post
from benchmarks.vllm_bed import BASE, make_adapters
from benchmarks.vllm_overhead import (
    Row,
    Subject,
    Turn,
    asked_by_the_guard,
    change,
    markdown,
    measure,
    percent,
    summary,
    told,
    undefended,
    vllm,
)
from guard_server.adapter import load_adapters
from guard_server.merging import merged_copy
from guard_server.settings import GuardConfig

BASE_MODEL, MERGED = "the base model", "a merged copy"


def measure_both(home: Path, rounds: dict[int, int]) -> Iterator[Row]:
    """Measure both models, each started first once.

    Args:
        home: Where the adapter and its copy go.
        rounds: Turns of each, by how many requests are on their way at once.
    """
    config = {
        "listen": f"127.0.0.1:{free_port()}",
        "base_model": str(BASE.absolute()),
        "adapters": [{"name": "sorter", "path": str(make_adapters(home, "sorter")["sorter"])}],
    }
    adapter = load_adapters(GuardConfig.model_validate(config))["sorter"]
    places = {BASE_MODEL: BASE, MERGED: merged_copy(adapter, BASE.absolute(), home / "cache")}
    endpoint, payload = asked_by_the_guard(adapter, client_request("sorter", stream=False))
    request = post(undefended(adapter, payload, 1), endpoint)
    for order in (list(places), list(reversed(places))):
        with ExitStack() as stack:
            engines = {name: stack.enter_context(vllm(places[name], adapter.target)) for name in order}
            subjects = [Subject(name, engines[name], request) for name in places]
            yield from measure(f"label, {order[0]} started first", subjects, rounds)


def over_both(rows: list[Row]) -> dict[int, tuple[float, float, float]]:
    """Return by how many percent the merged copy's rate is above the base model's, over both orders, by requests at once."""
    found: dict[int, tuple[float, float, float]] = {}
    for at_once in dict.fromkeys(row.concurrency for row in rows):
        alike = [row for row in rows if row.concurrency == at_once]
        orders = dict.fromkeys(row.task for row in alike)
        changes = [change(_turns(alike, order, MERGED), _turns(alike, order, BASE_MODEL)) for order in orders]
        # What being first does to a round of one order it does to the other model in the other order.
        found[at_once] = percent([statistics.mean(pair) for pair in zip(*changes, strict=True)])
    return found


def _turns(rows: list[Row], task: str, subject: str) -> list[Turn]:
    return next(row.turns for row in rows if (row.task, row.subject) == (task, subject))


def main() -> None:
    """Measure, print the table, and write the figures where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=int, default=100, help="of each model and order, one at a time")
    parser.add_argument("--rounds", type=int, default=10, help="likewise, eight at once")
    parser.add_argument("--write", action="store_true", help=f"into {LOAD_DOCUMENT}")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="m-") as home:
        rows = list(measure_both(Path(home), {1: given.answers, 8: given.rounds}))
    found, both = list(summary(rows)), over_both(rows)
    text = "; ".join(f"{told(one)} with {at_once} at once" for at_once, one in both.items())
    page = f"{markdown(found)}\n\nThe merged copy against the base model, over both orders: {text}."
    print(page)
    if given.write:
        write_figures(
            "merged_copy", {"rows": found, "both": {str(at_once): one for at_once, one in both.items()}}
        )
        command = (
            f"python -m benchmarks.merged_copy --answers {given.answers} --rounds {given.rounds} --write"
        )
        write_section(LOAD_DOCUMENT, "merged", f"Measured {where()}, by `{command}`.\n\n{page}")


if __name__ == "__main__":
    main()
