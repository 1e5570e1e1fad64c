"""The packages are this checkout's own, typed, light to import, and keep to the layout."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["p2p", "trainer", "guard_server", "p2p_guard_cli"]
HEAVY = ["accelerate", "datasets", "fastapi", "peft", "torch", "transformers", "uvicorn", "vllm"]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_the_one_in_this_checkout(package: str) -> None:
    """PyPI has a ``trainer`` and a ``p2p`` of its own."""
    found = importlib.import_module(package).__file__
    assert found is not None
    assert Path(found).resolve().parent == ROOT / package


@pytest.mark.parametrize("package", PACKAGES)
def test_installed_package_is_the_one_in_this_checkout(package: str, tmp_path: Path) -> None:
    """Away from the checkout the editable install alone decides."""
    found = _python(f"import {package}; print({package}.__file__)", cwd=tmp_path)
    assert Path(found).resolve().parent == ROOT / package


@pytest.mark.parametrize("package", PACKAGES)
def test_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_p2p_and_its_modules_import_nothing_heavy(tmp_path: Path) -> None:
    names = sorted(_module_name(path) for path in (ROOT / "p2p").rglob("*.py"))
    code = f"import importlib, sys; [importlib.import_module(n) for n in {names}]; print(*sys.modules)"
    loaded = set(_python(code, cwd=tmp_path).split())
    assert loaded.isdisjoint(HEAVY)


def test_command_shows_its_help_without_loading_what_is_heavy(tmp_path: Path) -> None:
    loaded = set(_python("import sys, p2p_guard_cli.main; print(*sys.modules)", cwd=tmp_path).split())
    assert loaded.isdisjoint({"matplotlib", "torch", "transformers", "vllm"})


def test_import_contracts_hold() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _python(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()
