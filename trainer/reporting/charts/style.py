"""How all charts look: one colour and marker for each defence, safe for colour-blind readers and for grey print."""

from typing import Any, Final, NamedTuple

from matplotlib.axes import Axes
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
    "legend.fontsize": 8,
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
        ("#6b7280", "#8a6d1f", "#3f4754", "#a3815b", "#7d8794", "#5b4a17", "#9a9a9a", "#4d5f73"),
        ("D", "v", "<", ">", "p", "h", "*", "d"),
        strict=True,
    )
)


class Looks:
    """Gives each defence its look, the same in every chart of a report.

    Args:
        others: The names of all other defences, in the order in which looks are given out; from the ninth on looks repeat.
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
    axes.set_xlim(-0.015, 1.015)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.set_xlabel(label)
