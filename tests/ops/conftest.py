"""The real promtool and Prometheus, and a guard that is scraped after real traffic."""

from pathlib import Path

import pytest

from scripts.fetch_prometheus import fetch
from tests.guard_server.conftest import adapters, base_model

__all__ = ["adapters", "base_model"]


@pytest.fixture(scope="session")
def prometheus_tools() -> Path:
    return fetch()
