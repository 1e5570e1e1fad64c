"""The demo's edges; its figures come from `make demo`."""

import contextlib
import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from p2p.examples import Example
from p2p_guard_cli.demo.asking import Reply
from p2p_guard_cli.demo.errors import DemoError
from p2p_guard_cli.demo.figures import figures_table, measure
from p2p_guard_cli.demo.run import run_demo

BASE = Path(".models/SmolLM2-135M-Instruct")


def replies(*answers: str) -> list[Reply]:
    return [Reply(answer, extended=True, seconds=0.1) for answer in answers]


def test_the_figures_of_a_column_are_counted_as_the_method_says():
    test = [Example("a", "x", "billing"), Example("b", "y", "delivery"), Example("c", "z", "account")]
    clean = replies("billing", "delivery", "billing")
    found = measure(test, clean, test[1:], replies("billing", "delivery"))
    assert (found.ca.k, found.ca.n) == (2, 3)
    assert (found.asr.k, found.asr.n) == (1, 2)
    # The floor is counted on the rows that the attack counts, without its trigger.
    assert (found.floor.k, found.floor.n) == (1, 2)
    assert (found.extension_rate.k, found.extension_rate.n) == (2, 2)


def test_the_table_has_every_column_and_the_latencies():
    rows = [Example("a", "x", "delivery")]
    figures = measure(rows, replies("delivery"), rows, replies("billing"))
    console = Console(file=io.StringIO(), width=200, record=True)
    console.print(figures_table({"undefended": figures, "guarded": figures}, {"guarded": 0.25}))
    shown = console.export_text()
    assert "guarded" in shown
    assert "250 ms" in shown
    assert "1.000 (1/1" in shown


def test_files_that_no_demo_made_are_never_deleted(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DemoError, match="--output"):
        run_demo(Console(file=io.StringIO()), seed=0, base_model=tmp_path, output=tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_missing_base_model_is_named_with_the_next_step(tmp_path: Path):
    with pytest.raises(DemoError, match="make model"):
        run_demo(
            Console(file=io.StringIO()), seed=0, base_model=tmp_path / "none", output=tmp_path / "output"
        )


@pytest.mark.model
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process(blow: signal.Signals, tmp_path: Path):
    command = [sys.executable, "-m", "p2p_guard_cli", "demo", "--output", str(tmp_path / "demo")]
    command += ["--base-model", str(BASE.resolve())]
    # As a shell does to its background jobs; the demo must not take that over.
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    demo = subprocess.Popen(ignoring, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started = wait_for_children(demo.pid, "train")
    try:
        demo.send_signal(blow)
        assert demo.wait(30) == 130
        _, left = psutil.wait_procs(started, timeout=10)
        assert left == []
    finally:
        for process in (demo, *started):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def wait_for_children(pid: int, verb: str):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = psutil.Process(pid).children(recursive=True)
        if any(verb in child.cmdline() for child in found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"the demo did not get to {verb}")
