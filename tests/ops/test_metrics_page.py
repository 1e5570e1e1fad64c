from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from scripts.write_metrics_doc import UndocumentedError, _documented, page


def test_the_page_is_up_to_date():
    assert Path("docs/metrics.md").read_text() == page(), "run scripts/write_metrics_doc.py"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Gauge("p2p_guard_speed", "How fast.", registry=CollectorRegistry()), "unit"),
        (
            lambda: Counter("p2p_guard_x_total", "What.", ("prompt",), registry=CollectorRegistry()),
            "'prompt'",
        ),
        (lambda: Counter("p2p_guard_x_total", "", registry=CollectorRegistry()), "help"),
    ],
)
def test_a_metric_without_unit_help_or_bounded_labels_stops_it(make, said: str):
    with pytest.raises(UndocumentedError, match=said):
        _documented(make())
