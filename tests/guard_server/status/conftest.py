"""A guard in trouble, and one that has just begun."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from guard_server.settings import GuardConfig
from tests.guard_server.adapters.conftest import Guarded, guarding, versions, writer_config
from tests.guard_server.status.troubled import Versions, troubled, troubled_config

__all__ = ["versions"]


@pytest.fixture
async def in_trouble(tmp_path: Path, base_model: Path, versions: Versions) -> AsyncIterator[Guarded]:
    config = troubled_config(tmp_path, base_model, versions)
    async with troubled(config, versions, tmp_path) as guarded:
        yield guarded


@pytest.fixture
def calm_config(tmp_path: Path, base_model: Path, versions: Versions) -> GuardConfig:
    return writer_config(tmp_path, base_model, versions("one"))


@pytest.fixture
async def calm(calm_config: GuardConfig) -> AsyncIterator[Guarded]:
    async with guarding(calm_config) as guarded:
        yield guarded
