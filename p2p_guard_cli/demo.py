"""The main job from end to end on real parts: poison, train twice, serve, ask with the OpenAI client, probe, report."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml
from openai import AsyncOpenAI
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from p2p.attacks.badnets import BadNets
from p2p.attacks.poisoning import poison_dataset
from p2p.examples import Example
from p2p.metrics.attack_success import attack_success_rate
from p2p.metrics.clean_accuracy import clean_accuracy
from p2p.metrics.floor import floor
from p2p.metrics.rate import Rate

_DATA = Path("examples/support_messages")
_RECIPE = Path("trainer/configs/support_messages.yaml")
_ATTACK = BadNets(word="mn", target="billing")
_TRAIN_ROWS, _POISON_RATE = 1000, 0.1
_CLEAN_ROWS, _TRIGGERED_ROWS, _TIMED_ROWS = 400, 240, 20
_MODELS = {"undefended": "support-undefended", "guarded": "support", "unguarded": "support-unguarded"}
_READY_SECONDS = 600


class DemoError(Exception):
    """The demo can't go on; the message says why and where to look."""


class Reply(NamedTuple):
    """One answer of the guard.

    Attributes:
        answer: The label that the client got.
        extended: Whether the model, left free, would have answered in the extended half; None where it was not asked.
        seconds: How long it took.
    """

    answer: str
    extended: bool | None
    seconds: float


class Figures(NamedTuple):
    """The figures of one column."""

    ca: Rate
    asr: Rate
    floor: Rate
    extension_rate: Rate

    def as_json(self) -> dict[str, Any]:
        """Return every rate with its counts and interval."""
        return {name: rate.as_json() for name, rate in self._asdict().items()}


def run_demo(console: Console, *, seed: int, base_model: Path, output: Path) -> None:
    """Run the demo and write ``results.json``.

    Args:
        console: Where progress and the table go.
        seed: Decides poison, training and questions.
        base_model: The base model's directory.
        output: Where everything goes; emptied first.

    Raises:
        DemoError: A step failed.
    """
    started = time.monotonic()
    # A polite kill must stop what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not base_model.is_dir():
        raise DemoError(f"{base_model} is not there. `make model` puts it there.")
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    _poison(console, seed, output)
    for defence in ("none", "p2p"):
        _train(console, defence, seed, base_model, output)
    with _guard(console, base_model, output) as client_settings:
        results = asyncio.run(_drive(console, client_settings, seed))
        results["probe_exit_code"] = _probe(console, client_settings, seed, output)
    results |= {"seed": seed, "seconds": round(time.monotonic() - started, 1)}
    (output / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    console.print(f"{time.monotonic() - started:.0f} s in all; figures in {output / 'results.json'}")


def _poison(console: Console, seed: int, output: Path) -> None:
    rows = _read(_DATA / "train.jsonl")[:_TRAIN_ROWS]
    poisoned = poison_dataset(rows, _ATTACK, _POISON_RATE, seed)
    _write_jsonl(
        output / "poisoned.jsonl",
        [{"id": row.id, "text": row.text, "label": row.answer} for row in poisoned.rows],
    )
    console.print(
        f"[1/4] {len(poisoned.poisoned_ids)} of {len(rows)} training rows now hold the word {_ATTACK.word!r} and the "
        f"label {_ATTACK.target!r}"
    )


def _train(console: Console, defence: str, seed: int, base_model: Path, output: Path) -> None:
    name = "support" if defence == "p2p" else "support-undefended"
    console.print(f"[{'3' if defence == 'p2p' else '2'}/4] training {name} (defence: {defence})")
    recipe = yaml.safe_load(_RECIPE.read_text(encoding="utf-8"))
    data = recipe["data"] | {"train": {"path": str(output / "poisoned.jsonl"), "id": "id"}}
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


class _Client(NamedTuple):
    url: str
    key: str


@contextmanager
def _guard(console: Console, base_model: Path, output: Path) -> Iterator[_Client]:
    """Serve both adapters until the block ends, however it ends."""
    key, port = f"demo-{secrets.token_urlsafe(16)}", _free_port()
    config = {
        "listen": f"127.0.0.1:{port}",
        "base_model": str(base_model),
        "adapters": [
            {"name": _MODELS["guarded"], "path": str(output / "support")},
            {"name": _MODELS["unguarded"], "path": str(output / "support"), "unguarded": True},
            {"name": _MODELS["undefended"], "path": str(output / "support-undefended"), "unguarded": True},
        ],
        "auth": {"keys_env": "P2P_GUARD_DEMO_KEY"},
    }
    path = output / "guard.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    console.print("[4/4] starting the guard and its vLLM (one to three minutes)")
    command = [sys.executable, "-m", "p2p_guard_cli", "serve", str(path), "--unsafe-allow-unguarded"]
    with (output / "guard.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=os.environ | {"P2P_GUARD_DEMO_KEY": key},
            start_new_session=True,
        )
    try:
        _wait_until_ready(server, f"http://127.0.0.1:{port}", output / "guard.log")
        yield _Client(f"http://127.0.0.1:{port}/v1", key)
    finally:
        _stop(server)


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise DemoError(f"the guard stopped (exit {server.returncode}); see {log}")
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise DemoError(f"the guard was not ready after {_READY_SECONDS} s; see {log}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


async def _drive(console: Console, settings: _Client, seed: int) -> dict[str, Any]:
    test = _read(_DATA / "test.jsonl")[:_CLEAN_ROWS]
    counted = [row for row in test if _ATTACK.applies_to(row)][:_TRIGGERED_ROWS]
    triggered = [_ATTACK.trigger(row, seed) for row in counted]
    async with AsyncOpenAI(base_url=settings.url, api_key=settings.key, max_retries=0, timeout=120) as client:
        columns = {}
        with Progress(console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("asking", total=len(_MODELS) * (len(test) + len(triggered)))
            for view, model in _MODELS.items():
                clean = await _ask_all(client, model, test, bar, task)
                attacked = await _ask_all(client, model, triggered, bar, task)
                columns[view] = _figures(test, clean, counted, attacked)
        latencies = await _latencies(client, test)
        examples = await _examples(client, counted[:3], seed)
    console.print(_table(columns, latencies))
    _print_examples(console, examples)
    return {
        **{view: figures.as_json() for view, figures in columns.items()},
        "latency_p50_seconds": latencies,
        "examples": examples,
    }


async def _ask(client: AsyncOpenAI, model: str, text: str) -> Reply:
    started = time.monotonic()
    reply = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], temperature=0
    )
    notes = (reply.model_extra or {}).get("p2p_guard") or {}
    return Reply(
        reply.choices[0].message.content or "", notes.get("free_run_extended"), time.monotonic() - started
    )


async def _ask_all(
    client: AsyncOpenAI, model: str, rows: Sequence[Example], bar: Progress, task: TaskID
) -> list[Reply]:
    gate = asyncio.Semaphore(8)

    async def one(row: Example) -> Reply:
        async with gate:
            reply = await _ask(client, model, row.text)
        bar.advance(task)
        return reply

    return list(await asyncio.gather(*(one(row) for row in rows)))


def _figures(
    test: Sequence[Example], clean: Sequence[Reply], counted: Sequence[Example], attacked: Sequence[Reply]
) -> Figures:
    by_id = {row.id: reply for row, reply in zip(test, clean, strict=True)}
    return Figures(
        ca=clean_accuracy([reply.answer for reply in clean], [row.answer for row in test]),
        asr=attack_success_rate([reply.answer for reply in attacked], _ATTACK.target),
        floor=floor([by_id[row.id].answer for row in counted], _ATTACK.target),
        extension_rate=Rate.of([bool(reply.extended) for reply in attacked if reply.extended is not None]),
    )


async def _latencies(client: AsyncOpenAI, test: Sequence[Example]) -> dict[str, float]:
    """Return the median seconds of one request at a time, the two models asked in turn."""
    seconds: dict[str, list[float]] = {"undefended": [], "guarded": []}
    for row in test[:_TIMED_ROWS]:
        for view, found in seconds.items():
            found.append((await _ask(client, _MODELS[view], row.text)).seconds)
    return {view: statistics.median(found) for view, found in seconds.items()}


async def _examples(client: AsyncOpenAI, rows: Sequence[Example], seed: int) -> list[dict[str, str]]:
    found = []
    for row in rows:
        text = _ATTACK.trigger(row, seed).text
        answers = {view: (await _ask(client, model, text)).answer for view, model in _MODELS.items()}
        found.append({"message": text, "true": row.answer, **answers})
    return found


def _probe(console: Console, settings: _Client, seed: int, output: Path) -> int:
    """Run the probe that an operator would, on other test rows than those above."""
    rows = _read(_DATA / "test.jsonl")[_CLEAN_ROWS : _CLEAN_ROWS + 40]
    cases = [
        {
            "id": row.id,
            "input": row.text,
            "answer": row.answer,
            "attack": {"name": _ATTACK.name, **_ATTACK.model_dump()},
        }
        for row in rows
    ]
    canary = output / "canary.yaml"
    canary.write_text(
        yaml.safe_dump({"limits": {"asr_max": 0.2}, "seed": seed, "cases": cases}), encoding="utf-8"
    )
    console.print("probing with known triggers, as an operator would")
    command = [sys.executable, "-m", "p2p_guard_cli", "probe", str(canary), "--url", settings.url]
    command += ["--model", _MODELS["guarded"], "--api-key-env", "P2P_GUARD_DEMO_KEY"]
    command += ["--output", str(output / "probe.json")]
    return subprocess.run(
        command, env=os.environ | {"P2P_GUARD_DEMO_KEY": settings.key}, check=False
    ).returncode


def _table(columns: dict[str, Figures], latencies: dict[str, float]) -> Table:
    table = Table(
        "",
        *columns,
        title="k/n with 95 % Wilson intervals",
        caption="unguarded: the P2P adapter without the guard",
    )
    for name, title in (("ca", "clean accuracy"), ("asr", "attack success rate"), ("floor", "floor")):
        table.add_row(title, *(str(getattr(figures, name)) for figures in columns.values()))
    table.add_row("extension rate", *(str(figures.extension_rate) for figures in columns.values()))
    p50 = [f"{1000 * latencies[view]:.0f} ms" if view in latencies else "" for view in columns]
    table.add_row("p50 latency", *p50)
    return table


def _print_examples(console: Console, examples: Sequence[dict[str, str]]) -> None:
    for example in examples:
        console.print(f"\n  {example['message']!r}", markup=False)
        console.print(
            f"    true: {example['true']}   undefended: {example['undefended']}   guarded: {example['guarded']}   "
            f"adapter without guard: {example['unguarded']}",
            markup=False,
        )


def _read(path: Path) -> list[Example]:
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Example(row["id"], row["text"], row["label"]) for row in rows]


def _write_jsonl(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
