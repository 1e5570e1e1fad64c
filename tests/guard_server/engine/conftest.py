"""Versions of one adapter, as the life cycle's tests have them."""

from tests.guard_server.adapters.conftest import versions as versions  # noqa: PLC0414 - a fixture, given on
