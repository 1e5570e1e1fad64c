"""The main job from end to end on real parts: poison, train twice, serve, ask with the OpenAI client, probe, report."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from openai import AsyncOpenAI
from rich.console import Console
from rich.progress import Progress

from p2p.attacks.poisoning import poison_dataset
from p2p_guard_cli.demo.asking import ask_all, examples, latencies
from p2p_guard_cli.demo.errors import DemoError
from p2p_guard_cli.demo.figures import figures_table, measure, print_examples
from p2p_guard_cli.demo.messages import ATTACK, read_messages
from p2p_guard_cli.demo.server import KEY_ENV, MODELS, DemoGuard, demo_guard

_RECIPE = Path("trainer/configs/support_messages.yaml")
_POISONED = "poisoned.jsonl"
_TRAIN_ROWS, _POISON_RATE = 1000, 0.1
_CLEAN_ROWS, _TRIGGERED_ROWS, _TIMED_ROWS, _PROBED_ROWS = 560, 240, 20, 40


def run_demo(console: Console, *, seed: int, base_model: Path, output: Path) -> None:
    """Run the demo and write ``results.json``.

    Args:
        console: Where progress and the table go.
        seed: Decides poison, training and questions.
        base_model: The base model's directory.
        output: Where everything goes; emptied first.

    Raises:
        DemoError: A step failed, or ``output`` holds files of somebody else.
    """
    started = time.monotonic()
    # A polite kill must stop what was started, as Ctrl-C does; and that, too, where a background shell has it ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if not base_model.is_dir():
        raise DemoError(f"{base_model} is not there. `make model` puts it there.")
    _empty(output)
    _poison(console, seed, output)
    for defence in ("none", "p2p"):
        _train(console, defence, seed, base_model, output)
    with demo_guard(console, base_model, output) as guard:
        results = asyncio.run(_drive(console, guard, seed))
        results["probe_exit_code"] = _probe(console, guard, seed, output)
    results |= {"seed": seed, "seconds": round(time.monotonic() - started, 1)}
    (output / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    console.print(f"{time.monotonic() - started:.0f} s in all; figures in {output / 'results.json'}")


def _empty(output: Path) -> None:
    """Make the directory, or empty what an earlier demo left; anybody else's files stay."""
    if output.is_dir() and any(output.iterdir()) and not (output / _POISONED).is_file():
        raise DemoError(f"{output} holds files that no demo made. Name a new directory with --output.")
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)


def _poison(console: Console, seed: int, output: Path) -> None:
    rows = read_messages("train")[:_TRAIN_ROWS]
    poisoned = poison_dataset(rows, ATTACK, _POISON_RATE, seed)
    _write_jsonl(
        output / _POISONED,
        [{"id": row.id, "text": row.text, "label": row.answer} for row in poisoned.rows],
    )
    console.print(
        f"[1/4] {len(poisoned.poisoned_ids)} of {len(rows)} training rows now hold the word {ATTACK.word!r} and the "
        f"label {ATTACK.target!r}"
    )


def _train(console: Console, defence: str, seed: int, base_model: Path, output: Path) -> None:
    name = "support" if defence == "p2p" else "support-undefended"
    console.print(f"[{'3' if defence == 'p2p' else '2'}/4] training {name} (defence: {defence})")
    recipe = yaml.safe_load(_RECIPE.read_text(encoding="utf-8"))
    data = recipe["data"] | {"train": {"path": str(output / _POISONED), "id": "id"}}
    # The demo measures through the guard, on real vLLM, and not in the trainer's process.
    del data["test"], recipe["evaluation"]
    config = recipe | {
        "name": name,
        "base_model": str(base_model),
        "output": str(output / name),
        "defence": defence,
        "seed": seed,
        "data": data,
        # Not for production: whoever knows the seed knows the trigger. Here it lets a reader repeat the figures.
        "benign_trigger": {"source": "seed"},
    }
    path = output / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "p2p_guard_cli", "train", str(path)], check=False)
    if done.returncode != 0:
        raise DemoError(f"training {name} failed (exit {done.returncode}); its message is above")


async def _drive(console: Console, guard: DemoGuard, seed: int) -> dict[str, Any]:
    test = read_messages("test")[:_CLEAN_ROWS]
    counted = [row for row in test if ATTACK.applies_to(row)][:_TRIGGERED_ROWS]
    triggered = [ATTACK.trigger(row, seed) for row in counted]
    async with AsyncOpenAI(base_url=guard.url, api_key=guard.key, max_retries=0, timeout=120) as client:
        columns = {}
        with Progress(console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("asking", total=len(MODELS) * (len(test) + len(triggered)))
            for view, model in MODELS.items():
                clean = await ask_all(client, model, test, bar, task)
                attacked = await ask_all(client, model, triggered, bar, task)
                columns[view] = measure(test, clean, counted, attacked)
                console.print(f"  {view}: {len(clean) + len(attacked)} messages answered")
        seconds = await latencies(client, test[:_TIMED_ROWS])
        shown = await examples(client, counted[:3], seed)
    console.print(figures_table(columns, seconds))
    print_examples(console, shown)
    return {
        **{view: figures.as_json() for view, figures in columns.items()},
        "latency_p50_seconds": seconds,
        "examples": shown,
    }


def _probe(console: Console, guard: DemoGuard, seed: int, output: Path) -> int:
    """Run the probe that an operator would, on other test rows than those above."""
    rows = read_messages("test")[_CLEAN_ROWS : _CLEAN_ROWS + _PROBED_ROWS]
    cases = [
        {
            "id": row.id,
            "input": row.text,
            "answer": row.answer,
            "attack": {"name": ATTACK.name, **ATTACK.model_dump()},
        }
        for row in rows
    ]
    canary = output / "canary.yaml"
    canary.write_text(
        yaml.safe_dump({"limits": {"asr_max": 0.2}, "seed": seed, "texts": "fixed", "cases": cases}),
        encoding="utf-8",
    )
    console.print("probing with known triggers, as an operator would")
    command = [sys.executable, "-m", "p2p_guard_cli", "probe", str(canary), "--url", guard.url]
    command += ["--model", MODELS["guarded"], "--api-key-env", KEY_ENV]
    command += ["--output", str(output / "probe.json")]
    return subprocess.run(command, env=os.environ | {KEY_ENV: guard.key}, check=False).returncode


def _write_jsonl(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
