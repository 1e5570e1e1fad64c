"""A chart as the page and the files need it."""

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.figure import Figure


class Chart(NamedTuple):
    """A chart.

    Attributes:
        name: Its file's name, without extension; letters, digits and hyphens.
        alt: What it shows, for those who can't see it.
        draw: Makes it for a width in inches; called under the style of :mod:`trainer.reporting.charts.style`.
        panel: Whether it is one of several small ones, drawn at one width; others are drawn wide, and narrow for phones.
    """

    name: str
    alt: str
    draw: Callable[[float], Figure]
    panel: bool = False


def slug(text: str) -> str:
    """Return a text as part of a file's name.

    Args:
        text: Any text.
    """
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in text.lower())
    return "-".join(words.split())
