"""How all charts look: one colour and marker for each defence, safe for colour-blind readers and for grey print."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.typing import RcKeyType

from trainer.reporting.names import GUARDED, UNDEFENDED, UNGUARDED, selection_of
from trainer.reporting.pooling import Pooled

WIDE: Final = 7.6
"""Inches; a figure over the whole page."""
NARROW: Final = 3.7
"""Inches; a figure for a phone, or half a page."""

INK: Final = "#1b2330"
MUTED: Final = "#5d6878"
GRID: Final = "#dfe4ea"
FLOOR: Final = "#1b2330"

_LEGEND_SIZE: Final = 7.5  # points
_LEGEND_MARKER: Final = 0.43  # inches: the marker and the gaps beside it

RC: Final[dict[RcKeyType, Any]] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#9aa4b1",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.borderaxespad": 0,
    "legend.fontsize": _LEGEND_SIZE,
    "legend.handlelength": 1.6,
    "legend.frameon": False,
    "legend.handletextpad": 0.5,
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "svg.hashsalt": "p2p-guard",  # the same data gives the same bytes
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a name is a "$"
    "xtick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.color": MUTED,
    "ytick.labelsize": 8.5,
}


class Look(NamedTuple):
    """A colour and a marker."""

    colour: str
    marker: str


_UNDEFENDED = Look("#d55e00", "X")
_UNGUARDED = Look("#cc79a7", "P")
_GUARDED = {
    "trusted": Look("#0072b2", "o"),
    "screened": Look("#009e73", "s"),
    "random": Look("#56b4e9", "^"),
}
# Other defences stay in greys and browns, so that they are told apart by marker and never taken for P2P.
_OTHERS = tuple(
    Look(colour, marker)
    for colour, marker in zip(
        (
            *("#6b7280", "#8a6d1f", "#3f4754", "#a3815b", "#7d8794", "#5b4a17"),
            *("#8c8c8c", "#4d5f73", "#7a4a3a", "#5b3f8c", "#9a7bb5", "#3d5a45"),
        ),
        ("D", "v", "<", ">", "p", "h", "*", "d", "8", "v", "D", "*"),
        strict=True,
    )
)


class Looks:
    """Gives each defence its look, the same in every chart of a report.

    Args:
        others: The names of all other defences, in the order in which looks are given out; from the thirteenth on looks repeat.
    """

    def __init__(self, others: tuple[str, ...]) -> None:
        self._others = {name: _OTHERS[place % len(_OTHERS)] for place, name in enumerate(others)}

    def of(self, row: Pooled) -> Look:
        """Return the look of a row."""
        if row.defence == UNDEFENDED:
            return _UNDEFENDED
        if row.defence == UNGUARDED:
            return _UNGUARDED
        if row.defence == GUARDED:
            return _GUARDED.get(selection_of(row), _GUARDED["trusted"])
        return self._others.get(row.defence, _OTHERS[0])


def share_axis(axes: Axes, label: str) -> None:
    """Make the horizontal axis one of shares, 0 to 1.

    Args:
        axes: Whose axis.
        label: Its title.
    """
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.set_xlabel(label)


def counts_of(counts: Iterable[int]) -> str:
    """Say how many rows shares rest on: ``n = 290`` or ``n = 290 to 870``.

    Args:
        counts: The shares' n, at least one.
    """
    found = list(counts)
    low, high = min(found), max(found)
    return f"n = {low:,}" if low == high else f"n = {low:,} to {high:,}"


@cache
def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a text is, in inches.

    Args:
        text: One line.
        size: Points.
        bold: Whether it is bold.
    """
    if not text:
        return 0.0
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    return float(TextPath((0, 0), text, size=size, prop=font).get_extents().width) / 72


def fitting(text: str, size: float, width: float) -> float:
    """Return the size in points, at most the given one, at which a bold line fits.

    Args:
        text: One line.
        size: Points.
        width: Inches.
    """
    return size * min(1.0, width / max(text_width(text, size, bold=True), 0.01))


def legend_columns(legend: Sequence[Line2D], width: float) -> int:
    """Return how many columns of a legend fit.

    Args:
        legend: Its handles.
        width: Inches.
    """
    for columns in range(len(legend), 1, -1):
        longer, plain = len(legend) % columns, len(legend) // columns
        sizes = [plain + (place < longer) for place in range(columns)]
        starts = [sum(sizes[:place]) for place in range(columns)]
        names = [legend[start : start + size] for start, size in zip(starts, sizes, strict=True)]
        widths = (max(text_width(str(each.get_label()), _LEGEND_SIZE) for each in column) for column in names)
        if sum(widths) + _LEGEND_MARKER * columns <= width - 0.1:
            return -(-len(legend) // max(sizes))  # as few as the same number of lines needs
    return 1
