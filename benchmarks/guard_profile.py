"""Where the guard's processor time goes: py-spy looks at a guard under load, and each sample counts for the frame it was in.

    pip install py-spy
    .venv/bin/python -m benchmarks.guard_profile --write

Samples are of threads that hold the interpreter. *Itself* is the package whose code ran (what is written in C counts for its caller, for
it has no frames); *for* is the nearest module of ours that it ran for.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import uvloop

from benchmarks.documents import LOAD_DOCUMENT, where, write_section
from benchmarks.load import load
from benchmarks.serving_bed import client_request, fast_engine, free_port, guard, make_bed

_OURS = ("guard_server/", "p2p/")
_SHOWN = 9


class Profile(NamedTuple):
    """Samples by the package that ran, and by the module of ours that it ran for."""

    itself: Counter[str]
    ours: Counter[str]


def read_samples(collapsed: Iterable[str]) -> Profile:
    """Count collapsed stacks, ``frame;frame;... count`` with ``function (file:line)`` as a frame, the innermost last."""
    found = Profile(Counter(), Counter())
    for line in collapsed:
        stack, _, count = line.rpartition(" ")
        files = [_file_of(frame) for frame in reversed(stack.split(";"))]
        found.itself[_package(files[0])] += int(count)
        found.ours[next((file for file in files if file.startswith(_OURS)), "the server")] += int(count)
    return found


def _file_of(frame: str) -> str:
    return frame.rpartition("(")[2].rpartition(":")[0] or frame


def _package(file: str) -> str:
    return file.split("/", 1)[0].removesuffix(".py")


def profile(task: str, seconds: int, sampler: str, *, stream: bool) -> Profile:
    """Profile a guard that answers one kind of request, eight at once, before an engine that answers at once."""
    with tempfile.TemporaryDirectory() as home:
        bed = make_bed(Path(home) / "bed")
        out = Path(home) / "samples"
        with fast_engine(bed) as engine, guard(bed, [engine], port=free_port()) as served:
            command = [
                sampler,
                "record",
                "--pid",
                str(served.popen.pid),
                "--duration",
                str(seconds),
                "--rate",
                "500",
            ]
            command += ["--format", "raw", "--gil", "--output", str(out)]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sampling:
                request = client_request(task, stream=stream)
                uvloop.run(load(served.port, request, connections=8, seconds=seconds + 2.0))
            if sampling.returncode:
                raise SystemExit(
                    "py-spy failed: it needs leave to trace other processes (root, or ptrace_scope 0)"
                )
        return read_samples(out.read_text(encoding="utf-8").splitlines())


def lines(title: str, counts: Counter[str]) -> Iterator[str]:
    """Yield a table of shares, the largest first."""
    total = counts.total()
    yield f"| {title} | share |"
    yield "| --- | --- |"
    for name, count in counts.most_common(_SHOWN):
        yield f"| {name} | {count / total:.0%} |"
    rest = total - sum(count for _, count in counts.most_common(_SHOWN))
    yield f"| everything else | {rest / total:.0%} |"


def main() -> None:
    """Profile labels and streams, print the shares, and write them where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--write", action="store_true", help=f"into {LOAD_DOCUMENT}")
    given = parser.parse_args()
    sampler = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if not sampler:
        raise SystemExit("there is no py-spy: pip install py-spy")
    parts = []
    for name, task, stream in (("A label", "sorter", False), ("Text, streamed in 16 pieces", "writer", True)):
        found = profile(task, given.seconds, sampler, stream=stream)
        tables = (*lines("itself", found.itself), "", *lines("for", found.ours))
        parts.append("\n".join((f"{name} ({found.itself.total():,} samples):", "", *tables)))
    text = "\n\n".join(parts)
    print(text)
    if given.write:
        command = f"python -m benchmarks.guard_profile --seconds {given.seconds} --write"
        write_section(LOAD_DOCUMENT, "profile", f"Measured {where()}, by `{command}`.\n\n{text}")


if __name__ == "__main__":
    main()
