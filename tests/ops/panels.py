"""Which panels of the dashboard show nothing."""

import math
from typing import Any

from scripts.draw_dashboard import filled
from scripts.write_dashboard import SECTIONS
from tests.ops.names import named
from tests.ops.prometheus_server import Prometheus


def empty_panels(server: Prometheus, without: frozenset[str] = frozenset()) -> list[str]:
    """The queries without data, but those that read a metric of ``without``."""
    asked = [
        (panel.title, query.expr)
        for section in SECTIONS
        for panel in section.panels
        for query in panel.queries
    ]
    wanted = [(title, expr) for title, expr in asked if not named(expr) & without]
    return [f"{title}: {expr}" for title, expr in wanted if not has_data(server.query(filled(expr, 300)))]


def has_data(series: list[dict[str, Any]]) -> bool:
    return any(not math.isnan(float(one["value"][1])) for one in series)
