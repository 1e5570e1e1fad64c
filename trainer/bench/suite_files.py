"""Suites as YAML files: those that ship, those that people write, and those that extend others.

``extends: standard`` (or a list) takes over what another suite says. Data sets, cases and defences of the same name and all other keys are the
extending suite's own; its grid comes after the other's. Suites that are extended together may not differ under one name.
"""

from collections.abc import Sequence
from functools import reduce
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from trainer.bench.suite import Suite
from trainer.errors import ConfigError

_SHIPPED = "trainer.bench.suites"
_NAMED = ("datasets", "cases", "defences")


def load_suite(name: str) -> Suite:
    """Read a suite.

    Args:
        name: A shipped suite's name, or a YAML file.

    Raises:
        ConfigError: There is no such suite, or a key or value doesn't fit; every fault is named.
    """
    content = _content(name, ())
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        faults = [
            f"  {'.'.join(map(str, fault['loc'])) or 'suite'}: {fault['msg']}" for fault in error.errors()
        ]
        raise ConfigError("\n".join([f"suite {name}:", *faults])) from None


def shipped_suites() -> tuple[str, ...]:
    """Return the names of the suites that come with the package."""
    return tuple(
        sorted(
            entry.name.removesuffix(".yaml")
            for entry in files(_SHIPPED).iterdir()
            if entry.name.endswith(".yaml")
        )
    )


def _content(name: str, asked_by: Sequence[str]) -> dict[str, Any]:
    """Return a suite's keys and values, those of the suites that it extends included."""
    if name in asked_by:
        raise ConfigError(f"suite {asked_by[0]} extends itself: {' -> '.join((*asked_by, name))}")
    try:
        content = yaml.safe_load(_text_of(name))
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{name} must hold keys and values, see trainer/bench/suites for examples")
    asked = content.pop("extends", ())
    others = [_content(other, (*asked_by, name)) for other in ([asked] if isinstance(asked, str) else asked)]
    try:
        for first, then in combinations(others, 2):
            _require_no_clash(name, first, then)
        return reduce(_joined, [*others, content])
    except (AttributeError, TypeError):
        raise ConfigError(
            f"{name}: {', '.join(_NAMED)} must hold keys and values, and grid a list of blocks"
        ) from None


def _require_no_clash(name: str, first: dict[str, Any], then: dict[str, Any]) -> None:
    for kind in _NAMED:
        one, other = first.get(kind) or {}, then.get(kind) or {}
        clashing = sorted(key for key in one if key in other and one[key] != other[key])
        if clashing:
            raise ConfigError(
                f"{name}: {kind} of the suites that it extends differ under the same name: {', '.join(clashing)}"
            )


def _joined(first: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    named = {key: {**(first.get(key) or {}), **(then.get(key) or {})} for key in _NAMED}
    return first | then | named | {"grid": [*(first.get("grid") or ()), *(then.get("grid") or ())]}


def _text_of(name: str) -> str:
    if name in shipped_suites():
        return files(_SHIPPED).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{name!r} is neither a shipped suite ({', '.join(shipped_suites())}) nor a file that can be read: {error}"
        ) from error
