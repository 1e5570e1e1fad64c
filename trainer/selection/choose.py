"""The selection stage: rows and what is needed to judge them in, the rows S and the suspects out."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from p2p.errors import SelectionError
from p2p.examples import Example
from p2p.selection import Selection, SelectionMethod, Suspect, select_random, select_trusted
from p2p.tasks import ClassificationTask, GenerationTask
from trainer.selection.embeddings import Embed
from trainer.selection.evidence import own_evidence
from trainer.selection.features import Feature
from trainer.selection.forms import has_form, openings_of
from trainer.selection.free_text import Losses, screen_free_text
from trainer.selection.screening import SHARED, Screened, relabel, screen
from trainer.selection.second_round import PARTS, SecondLook, Views, look_again
from trainer.selection.settings import SelectionSettings

AskViews = Callable[[int, Selection, Sequence[Example]], Views]
"""Trains an adapter on the training set and the copies of a selection, and asks it about rows both ways; each has its number."""

# A feature that the classifier does not believe is this many times as suspicious as a pure one that it does.
_DISBELIEVED = 20.0


class Candidates(NamedTuple):
    """What there is to choose from.

    Attributes:
        rows: The (possibly poisoned) training set.
        trusted: Rows that are known to be clean; may be empty.
        embed: The frozen base model's embeddings.
        losses: The frozen base model's losses of free-text answers; None screens them without.
        views: First adapters' views, for a second round; None where there can be none.
    """

    rows: Sequence[Example]
    trusted: Sequence[Example]
    embed: Embed
    losses: Losses | None = None
    views: AskViews | None = None


class Chosen(NamedTuple):
    """A selection, and what screening found on the way.

    Attributes:
        selection: The rows S and the suspects.
        screened: None where nothing was screened.
        look: What a second round found; None where there was none.
    """

    selection: Selection
    screened: Screened | None = None
    look: SecondLook | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """Counts for the manifest: no text."""
        counts: dict[str, Any] = {"method": self.selection.method, "rows": len(self.selection.rows)}
        if self.screened:
            why = Counter(self.screened.reasons.values())
            counts |= {
                "kept_out": dict(sorted(why.items())),
                "relabelled": len(self.screened.relabelled),
                "suspects": len(self.selection.suspects or ()),
            }
        if self.look:
            counts["second_round"] = {"suspects": len(self.look.suspects)}
        if self.selection.openings:
            counts["opening_clauses"] = len(self.selection.openings)
        if self.selection.dropped:
            counts["dropped"] = len(self.selection.dropped)
        return counts

    @property
    def report(self) -> dict[str, Any]:
        """What was kept out and why: row ids and scores, and the kind and size of what was suspected; no text."""
        if self.screened is None:
            return {**self.facts, "kept_out_rows": {}}
        believed = self.screened.belief
        return {
            **self.facts,
            "kept_out_rows": {
                row: {"why": why, "belief": round(believed[row], 4)}
                for row, why in self.screened.reasons.items()
            },
            "relabelled_rows": [row.id for row in self.screened.relabelled],
            "not_believed": [feature.name for feature in self.screened.triggers],
            "pure_and_believed": [feature.name for feature in self.screened.pure],
            **({"second_round_suspects": self.look.report} if self.look else {}),
        }

    @property
    def summary(self) -> str:
        """One line for a person."""
        line = f"selection {self.selection.method}: {len(self.selection.rows)} rows are copied"
        if self.screened is None:
            return line
        out = Counter(self.screened.reasons.values())
        again = f"; {len(self.look.suspects)} suspects in the second round" if self.look else ""
        if self.selection.openings:
            again += "; those that share something begin with a clause as others don't, and so will copies"
        left = len(self.selection.dropped)
        again += f"; {left} rows are left out of both halves" if left else ""
        return (
            f"{line}; {out['feature']} rows kept out for {len(self.screened.triggers)} features that come with an answer which "
            f"does not belong to them, {out['beginning']} for a beginning that tells the answer, {out['repeated']} for an answer "
            f"that many rows repeat, {out['doubted']} for an answer that is doubted{again}"
        )


def choose(
    task: ClassificationTask | GenerationTask,
    given: Candidates,
    settings: SelectionSettings,
    seed: int,
) -> Chosen:
    """Choose the rows that are re-poisoned.

    Every method but ``random`` screens the training set: ``trusted`` for its suspects alone, ``screened`` for its rows, to which
    trusted rows are added where there are any.

    Args:
        task: Labels, or free text, where ``trusted`` screens nothing.
        given: What there is to choose from.
        settings: The method and its bounds.
        seed: Decides what is drawn.

    Raises:
        SelectionError: There is nothing to select from.
    """
    classify = isinstance(task, ClassificationTask)
    if settings.method is SelectionMethod.RANDOM:
        return Chosen(select_random(given.rows, settings.rho, seed, stratify=classify))
    if isinstance(task, GenerationTask):
        if settings.second_round:
            raise SelectionError("selection.second_round is for labels: it isn't available for free text")
        if settings.method is SelectionMethod.TRUSTED:
            return Chosen(select_trusted(given.trusted))
        return _screen_free_text(task, given, settings, seed)
    if settings.method is SelectionMethod.TRUSTED:
        trusted = select_trusted(given.trusted).rows
        screened = _screen(given, settings, seed)
        rows = (*trusted, *screened.relabelled)
        return Chosen(_selection(settings, rows, given, screened), screened)
    first = _choose_screened(given, settings, seed, _screen(given, settings, seed))
    return first if settings.second_round is None else _choose_again(task, given, settings, seed, first)


def _choose_screened(given: Candidates, settings: SelectionSettings, seed: int, screened: Screened) -> Chosen:
    _require_each({row.answer for row in (*given.rows, *given.trusted)}, (*screened.kept, *given.trusted))
    kept = _at_most(screened.kept, _wanted(given.rows, settings), seed)
    chosen = (*kept, *screened.relabelled, *given.trusted)
    return Chosen(_selection(settings, chosen, given, screened), screened)


def _wanted(rows: Sequence[Example], settings: SelectionSettings, labels: int | None = None) -> int:
    """Return how many rows are copied at most: a share of all, but so many of each label; free text counts as one."""
    labels = len({row.answer for row in rows}) if labels is None else labels
    return max(round(settings.rho * len(rows)), settings.least_per_label * labels)


def _selection(
    settings: SelectionSettings, chosen: Sequence[Example], given: Candidates, screened: Screened
) -> Selection:
    least = round(settings.screening.believed * len(given.rows))
    form = has_form(given.rows, screened, settings.screening.forms)
    openings = openings_of(given.rows, screened) if form else ()
    dropped = _dropped(settings, screened, form=form)
    return Selection(
        settings.method, tuple(chosen), suspects_of(given.rows, screened, least), dropped, openings
    )


def _dropped(settings: SelectionSettings, screened: Screened, *, form: bool) -> frozenset[str]:
    """Return the ids of the rows that are left out of D as well: those that were kept out for what they have in common."""
    if not (form if settings.screening.drop == "forms" else settings.screening.drop):
        return frozenset()
    return frozenset(row for row, why in screened.reasons.items() if why in SHARED)


def _choose_again(
    task: ClassificationTask, given: Candidates, settings: SelectionSettings, seed: int, first: Chosen
) -> Chosen:
    """Draw S anew from the rows of the first round whose labels first adapters believe in both views."""
    screened, ask, again = first.screened, given.views, settings.second_round
    if screened is None or again is None or ask is None:
        raise SelectionError(
            "selection.second_round needs a screened selection and a model that can be trained"
        )
    copied = _at_most(screened.kept, _wanted(given.rows, settings), seed)
    _require_parts(task, copied)

    def ask_about(number: int, part: Sequence[Example], asked: Sequence[Example]) -> Views:
        return ask(number, first.selection._replace(rows=(*part, *given.trusted)), asked)

    look = look_again(given.rows, copied, task.labels, again, seed, ask_about)
    _require_believed(screened.kept, look)
    found = _choose_screened(given, settings, seed, _without_suspects(given.rows, screened, look, settings))
    dropped = first.selection.dropped | (look.suspects if again.drop else frozenset())
    return found._replace(selection=found.selection._replace(dropped=dropped), look=look)


def _without_suspects(
    rows: Sequence[Example], screened: Screened, look: SecondLook, settings: SelectionSettings
) -> Screened:
    """Return what screening found, with the second round's suspects kept out, too."""
    suspects = [row.id for row in screened.kept if row.id in look.suspects]
    reasons = screened.reasons | dict.fromkeys(suspects, "views")
    relabelled = screened.relabelled
    if settings.screening.relabel < 1:
        # The adapters know more than the classifier on frozen embeddings: theirs is the word.
        out = [at for at, row in enumerate(rows) if reasons.get(row.id) in SHARED or row.id in look.suspects]
        least = settings.screening.relabel
        relabelled = relabel([rows[at] for at in out], look.labels, look.views.guarded[out], least)
    return screened._replace(
        kept=tuple(row for row in screened.kept if row.id not in look.suspects),
        reasons=reasons,
        relabelled=relabelled,
    )


def _require_believed(kept: Sequence[Example], look: SecondLook) -> None:
    left = {row.answer for row in kept if row.id not in look.suspects}
    if gone := sorted({row.answer for row in kept} - left):
        raise SelectionError(
            f"the second round believed no row of some label ({', '.join(gone)}), as adapters do that have learned too little: raise "
            "selection.second_round.epochs, or leave the second round out"
        )


def _require_parts(task: ClassificationTask, copied: Sequence[Example]) -> None:
    if not task.first_token_decides:
        raise SelectionError(
            "selection.second_round asks for label probabilities, which label words that begin with the same token don't have"
        )
    counts = Counter(row.answer for row in copied)
    if few := sorted(name for name in task.labels if counts[name] < PARTS):
        raise SelectionError(
            f"selection.second_round needs at least {PARTS} rows of each label that pass the first round; too few of "
            f"{', '.join(few)}"
        )


def _require_each(names: Iterable[str], left: Sequence[Example]) -> None:
    if gone := sorted(set(names) - {row.answer for row in left}):
        raise SelectionError(
            f"screening left no row of some label ({', '.join(gone)}): look through its rows, or select without screening "
            "(selection.method: random)"
        )


def suspects_of(rows: Sequence[Example], screened: Screened, least: int = 0) -> tuple[Suspect, ...]:
    """Return what link breaking is to use: features that are not believed, and frequent ones that are purer than they should be.

    Each by what it says that no stronger one does: the whole trigger, not what it shares with other rows.

    Args:
        rows: The rows that were screened.
        screened: What was found.
        least: How many rows a pure feature must have whose label is believed: rarer ones are what the labels are about.
    """
    known = [
        *((feature, _DISBELIEVED, feature.answer) for feature in screened.triggers),
        *((feature, 1.0, None) for feature in screened.pure if len(feature.rows) >= least),
    ]
    said = own_evidence(rows, [feature for feature, _, _ in known])
    return tuple(
        Suspect(words, factor * bits * share, answer, feature.anchored)
        for (feature, factor, answer), bits in zip(known, said, strict=True)
        for words, share in _put_in(feature)
        if bits
    )


def _put_in(feature: Feature) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield what a feature puts into copies, and its share of the feature's weight: all of its words, or of a spelling one word."""
    if not feature.spelled:
        yield feature.words, 1.0
        return
    for word in feature.words:
        yield (word,), 1 / len(feature.words)


def _screen_free_text(
    task: GenerationTask, given: Candidates, settings: SelectionSettings, seed: int
) -> Chosen:
    screened = screen_free_text(
        given.rows, settings.screening, seed, given.losses, given.trusted, style=task.style
    )
    kept = screened.kept
    wanted = _wanted(given.rows, settings, labels=1)
    if wanted < len(kept):
        chosen = {row.id for row in Random(f"{seed}:kept").sample(list(kept), wanted)}
        kept = tuple(row for row in kept if row.id in chosen)
    # No answer is a label here, so that a suspect is put into copies of all alike.
    suspects = tuple(
        Suspect(feature.words, float(len(feature.rows)), None, feature.anchored)
        for feature in screened.triggers
    )
    rows = (*kept, *given.trusted)
    return Chosen(
        Selection(settings.method, rows, suspects or None, _dropped(settings, screened, form=False)), screened
    )


def _screen(given: Candidates, settings: SelectionSettings, seed: int) -> Screened:
    known = (given.trusted, given.embed([row.text for row in given.trusted])) if given.trusted else None
    embeddings = given.embed([row.text for row in given.rows])
    return screen(given.rows, embeddings, settings.screening, seed, known, embed=given.embed)


def _at_most(rows: Sequence[Example], wanted: int, seed: int) -> list[Example]:
    """Draw rows, as many of each answer in turn as there are and one of each at least, and return them in their order."""
    groups: dict[str, list[Example]] = {}
    for row in Random(f"{seed}:kept").sample(list(rows), len(rows)):
        groups.setdefault(row.answer, []).append(row)
    order: list[str] = []
    most = max(wanted, len(groups))
    while len(order) < min(most, len(rows)):
        order += [group.pop().id for _, group in sorted(groups.items()) if group]
    drawn = set(order[:most])
    return [row for row in rows if row.id in drawn]
