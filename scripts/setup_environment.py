"""Make ``.venv`` in the checkout: everything this project needs, once.

Run it through ``make setup``. It needs nothing but Python's standard library and changes nothing outside the checkout
(pip's own download cache aside). A stamp inside ``.venv`` names what was installed; while it still fits, a second call
returns at once. An interrupted call is taken up where it stopped.
"""

from __future__ import annotations  # an older Python must get as far as the message that asks for a newer one

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "p2p-guard.stamp"
LOCK = ROOT / "requirements" / "cpu.lock"
PYPROJECT = ROOT / "pyproject.toml"
INSTALL_TABLES = ("[build-system]", "[project", "[tool.setuptools")

GIB = 2**30
FREE_SPACE_NEEDED = {"cpu": 6 * GIB, "gpu": 20 * GIB}

# PyPI's builds of these fail to load beside some builds of torch; transformers and vLLM do without them, but trip over
# one that is there and broken.
TORCH_COMPANIONS = ("torchvision", "torchaudio", "torchcodec")

# Settings that would send pip or Python somewhere other than .venv.
FOREIGN_SETTINGS = (
    "PIP_PREFIX",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
)

NO_CPU_TORCH = """\
torch was installed but does not load. On x86-64, PyPI's torch needs CUDA's libraries; this environment wants the
CPU build. Point pip to PyTorch's index of CPU wheels (PIP_EXTRA_INDEX_URL) or to a folder with the wheel
(PIP_FIND_LINKS), remove .venv, and run `make setup` again."""


class SetupError(Exception):
    """The environment can't be made; the message says what to do."""


def main() -> None:
    """Make the environment, or find that it is there."""
    engine = _engine_asked_for()
    try:
        if _is_current(engine):
            return
        with _one_at_a_time():
            if not _is_current(engine):
                _make(engine)
    except SetupError as error:
        sys.exit(f"setup: {error}")
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd))
        sys.exit(f"setup: `{command}` failed (exit {error.returncode}). Run it again to resume.")
    except KeyboardInterrupt:
        sys.exit("\nsetup: interrupted. Run it again to resume.")


def _make(engine: str) -> None:
    started = time.monotonic()
    _require_disk(engine)
    STAMP.unlink(missing_ok=True)
    with _step("Creating .venv"):
        _create_venv()
    if engine == "cpu":
        with _step("Installing the locked packages (about 90 seconds)"):
            _pip("--no-deps", "--no-compile", "-r", LOCK)
        with _step("Installing p2p-guard from this checkout"):
            _pip("--no-deps", "--no-build-isolation", "--quiet", "--editable", ROOT)
    else:
        with _step("Installing p2p-guard and its GPU packages (unlocked)"):
            _pip("--no-compile", "--editable", f"{ROOT}[train,gpu,dev]")
    with _step("Checking that torch and the engine load"):
        _drop_broken_companions()
        _require_imports()
    STAMP.write_text(_fingerprint(engine), encoding="utf-8")
    print(f"Ready in {time.monotonic() - started:.0f} s. The command is .venv/bin/p2p-guard")


def _engine_asked_for() -> str:
    parser = argparse.ArgumentParser(description="Make .venv with everything this project needs.")
    choices = ("auto", "cpu", "gpu")
    parser.add_argument(
        "--engine", choices=choices, default="auto", help="auto: gpu where nvidia-smi lists one"
    )
    asked: str = parser.parse_args().engine
    if asked != "auto":
        return asked
    return "gpu" if _has_gpu() else "cpu"


def _has_gpu() -> bool:
    nvidia_smi = shutil.which("nvidia-smi")
    if nvidia_smi is None:
        return False
    try:
        listed = subprocess.run([nvidia_smi, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def _is_current(engine: str) -> bool:
    # PYTHON is a link to the interpreter it was made from: exists() also sees that one is still there.
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == _fingerprint(engine)


def _fingerprint(engine: str) -> str:
    # The path is part of it: console scripts name their interpreter in full, so a moved checkout needs a new .venv.
    parts = [engine, str(VENV), LOCK.read_text(encoding="utf-8"), _what_is_installed()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _what_is_installed() -> str:
    """Return the tables of pyproject.toml that an install reads: a new lint rule needs no new environment."""
    tables = re.split(r"^(?=\[)", PYPROJECT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return "".join(table for table in tables if table.startswith(INSTALL_TABLES))


def _require_disk(engine: str) -> None:
    free, needed = shutil.disk_usage(ROOT).free, FREE_SPACE_NEEDED[engine]
    if free < needed and not PYTHON.exists():
        message = (
            f".venv needs {needed / GIB:.0f} GiB and {ROOT} has {free / GIB:.1f} GiB left. Free some space."
        )
        raise SetupError(message)


def _create_venv() -> None:
    if PYTHON.exists() and _moved():
        shutil.rmtree(VENV)
    if PYTHON.exists() and _runs([PYTHON, "-m", "pip", "--version"]):
        _forget_half_installed()
        return
    _run([_find_python(), "-m", "venv", "--clear", VENV])


def _moved() -> bool:
    """Whether .venv came from elsewhere, so that its scripts name another folder's interpreter."""
    activate = VENV / "bin" / "activate"
    return not activate.exists() or str(VENV) not in activate.read_text(encoding="utf-8")


def _find_python() -> str:
    # 3.11 first: it is the version that the lock was made with.
    names = ["python3.11", sys.executable, "python3.12", "python3.13", "python3"]
    for name in names:
        found = shutil.which(name)
        check = "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))"
        if found and _runs([found, "-c", check]):
            return found
    message = "needs Python 3.11 or newer with its venv module (on Debian: apt-get install python3.11-venv)."
    raise SetupError(message)


def _forget_half_installed() -> None:
    """Remove what an interrupted pip left without INSTALLER, which pip writes after a package's files."""
    for record in VENV.glob("lib/python3*/site-packages/*.dist-info"):
        if not (record / "INSTALLER").exists():
            print(f"  {record.name} was half installed and will be installed again")
            shutil.rmtree(record)


def _drop_broken_companions() -> None:
    for name in TORCH_COMPANIONS:
        is_there = _runs([PYTHON, "-m", "pip", "show", "--quiet", name])
        if is_there and not _runs([PYTHON, "-c", f"import {name}"]):
            print(f"  removing {name}, which does not load beside this torch")
            _run([PYTHON, "-m", "pip", "uninstall", "--quiet", "--yes", name])


def _require_imports() -> None:
    if not _runs([PYTHON, "-c", "import torch"]):
        raise SetupError(NO_CPU_TORCH)
    # It also leaves bytecode of just what is used; compiling all of site-packages takes three times as long.
    modules = "accelerate, datasets, peft, vllm.entrypoints.openai.api_server"
    _run([PYTHON, "-W", "ignore", "-c", f"import {modules}"])


def _pip(*arguments: str | Path) -> None:
    _run([PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *arguments])


def _run(command: list[str | Path]) -> None:
    subprocess.run(command, env=_clean_environment(), cwd=ROOT, check=True)


def _runs(command: list[str | Path]) -> bool:
    quiet = subprocess.run(command, env=_clean_environment(), cwd=ROOT, capture_output=True, check=False)
    return quiet.returncode == 0


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in FOREIGN_SETTINGS}


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (ROOT / ".venv.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is running in this checkout; waiting for it ...", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _step(title: str) -> Iterator[None]:
    print(f"{title} ...", flush=True)
    started = time.monotonic()
    yield
    print(f"{title}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
