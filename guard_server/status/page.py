"""The status page as one HTML file that needs nothing else: no network, no script, its style inside."""

import base64
import functools
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from guard_server.status.model import StatusPage
from guard_server.status.sparkline import HEIGHT, WIDTH, Dot
from p2p.metrics.rate import Rate

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class PageMaker:
    """Makes pages. Every value is escaped: names come from configurations, and messages from anywhere.

    Attributes:
        headers: What must go with a page: nothing but its own style is let in, nobody may frame it, keep it, or learn of it
            from a link.
    """

    def __init__(self) -> None:
        loader = PackageLoader("guard_server.status")
        environment = Environment(
            loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        environment.filters |= {
            "age": _age,
            "moment": _moment,
            "points": _points,
            "share": _share,
            "counts": _counts,
        }
        environment.globals |= {"width": WIDTH, "height": HEIGHT}
        self._style = loader.get_source(environment, "style.css")[0]
        self._template = environment.get_template("status.html.j2")
        self.headers = _headers(self._style)

    def html(self, page: StatusPage) -> str:
        """Return the page."""
        return self._template.render(style=Markup(self._style), page=page)  # noqa: S704 - our own file


@functools.cache
def page_maker() -> PageMaker:
    """Return the one of this process: to compile the template takes longer than to fill it."""
    return PageMaker()


def _headers(style: str) -> Mapping[str, str]:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = ("default-src 'none'", f"style-src 'sha256-{digest}'", "base-uri 'none'", "form-action 'none'")
    return {
        "cache-control": "no-store",
        "content-security-policy": "; ".join((*policy, "frame-ancestors 'none'")),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _age(at: datetime, now: datetime) -> str:
    """Return how long ago it was, in its largest whole unit."""
    seconds = max(0, round((now - at) / timedelta(seconds=1)))
    size, unit = next((known for known in _UNITS if seconds >= known[0]), _UNITS[-1])
    return f"{seconds // size} {unit} ago"


def _points(dots: tuple[Dot, ...]) -> str:
    return " ".join(f"{dot.x:g},{dot.y:g}" for dot in dots)


def _share(rate: Rate) -> str:
    return f"{rate.value:.3f}" if rate.n else "-"


def _counts(rate: Rate) -> str:
    low, high = rate.interval
    interval = f"95 % {low:.3f} to {high:.3f}".replace(" ", "\N{NO-BREAK SPACE}")
    return f"{rate.k}/{rate.n}, {interval}" if rate.n else "0/0"
