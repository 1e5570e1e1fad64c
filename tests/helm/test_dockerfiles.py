"""The images' recipes: clean by hadolint, not root, pinned, and made of files that are there. No engine builds them here."""

import re
import subprocess
from pathlib import Path

import pytest

DOCKER = Path("docker")
FILES = sorted(path.name for path in DOCKER.glob("*.Dockerfile"))
INSTRUCTION = re.compile(r"^(FROM|COPY|USER|ENTRYPOINT|ARG) (.*)$", re.MULTILINE)


def _instructions(file: str) -> list[tuple[str, str]]:
    return [(found[1], found[2]) for found in INSTRUCTION.finditer((DOCKER / file).read_text())]


def test_there_are_three():
    assert FILES == ["guard-vllm-cpu.Dockerfile", "guard.Dockerfile", "trainer.Dockerfile"]


@pytest.mark.parametrize("file", FILES)
def test_hadolint_has_nothing_to_say(tools: Path, file: str):
    command = [str(tools / "hadolint"), "--failure-threshold", "style", str(DOCKER / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout == ""


@pytest.mark.parametrize("file", FILES)
def test_it_runs_as_the_charts_user(file: str):
    *_, last = [value for name, value in _instructions(file) if name == "USER"]
    assert last == "10001:10001"


@pytest.mark.parametrize("file", FILES)
def test_it_is_built_in_stages_from_a_pinned_base(file: str):
    stages = [value for name, value in _instructions(file) if name == "FROM"]
    assert stages == ["${PYTHON} AS build", "${PYTHON}"]
    (base,) = [value for name, value in _instructions(file) if name == "ARG" and value.startswith("PYTHON=")]
    assert re.fullmatch(r"PYTHON=python:3\.11\.\d+-slim-bookworm", base)


@pytest.mark.parametrize("file", FILES)
def test_all_it_copies_is_there_and_let_through(file: str):
    allowed = {line[1:] for line in Path(".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [value.split()[:-1] for name, value in _instructions(file) if name == "COPY"]
    sources = {source for line in copied for source in line if not line[0].startswith("--from")}
    assert sources <= allowed
    assert all(Path(source).exists() for source in sources)


def test_what_is_left_out_of_the_engines_image_is_in_the_lock():
    """A name that is not in the lock would leave nothing out."""
    (pattern,) = re.findall(r"grep -vE '([^']+)'", (DOCKER / "guard-vllm-cpu.Dockerfile").read_text())
    locked = Path("requirements/cpu.lock").read_text().splitlines()
    left_out = {line.split("==")[0] for line in locked if re.search(pattern, line)}
    assert {"hypothesis", "import-linter", "mypy", "pytest", "ruff"} <= left_out
    assert not left_out & {"torch", "vllm-cpu", "fastapi", "pydantic"}
