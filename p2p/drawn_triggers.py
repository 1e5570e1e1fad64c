"""Drawing the benign triggers of an adapter, after the data is fixed: a phrase that stands in a row already is drawn again.

An attacker who knows the trigger puts it into poisoned rows, and so ties the attack to it. Whoever made the rows can't have known
a phrase that is drawn afterwards; one that is found in them all the same is no secret, whoever's fault that is.
"""

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import count, islice
from typing import NamedTuple

from p2p.errors import DataError
from p2p.examples import Example
from p2p.triggers import WORDS, BenignTrigger, Placement, Position

_MOST_REDRAWS = 16

LongEnough = Callable[[BenignTrigger], bool]
"""Whether a benign trigger needs no more words."""


class TriggerForm(NamedTuple):
    """What benign triggers are drawn.

    Attributes:
        words: How many words each has, or the least.
        position: On which side of the input they stand.
        placement: Which user messages of a chat carry them.
        triggers: How many there are: the copies carry one of them each, in turn, and serving uses the first.
        most_words: How many words one may have that is lengthened until it is long enough.
    """

    words: int = WORDS
    position: Position = Position.BEFORE
    placement: Placement = Placement.LAST_USER
    triggers: int = 1
    most_words: int = 0


class DrawnTriggers(NamedTuple):
    """The benign triggers of an adapter.

    Attributes:
        served: The one that serving stamps with, and all that the manifest holds.
        others: Those that only copies carry.
        redraws: How many phrases were drawn that stood in the rows.
    """

    served: BenignTrigger
    others: tuple[BenignTrigger, ...] = ()
    redraws: int = 0

    @property
    def all(self) -> tuple[BenignTrigger, ...]:
        """The one that is served, and then the others."""
        return (self.served, *self.others)

    @property
    def longest_text(self) -> str:
        """The longest of their texts: a shortened copy must keep more than this."""
        return max((trigger.text for trigger in self.all), key=len)


def draw_triggers(
    key: bytes, rows: Sequence[Example], form: TriggerForm, is_long_enough: LongEnough | None = None
) -> DrawnTriggers:
    """Draw benign triggers that stand in the input of none of the rows.

    Args:
        key: The same key, rows and form give the same triggers.
        rows: All that is trained on; none leaves the first draw as it is.
        form: What is drawn.
        is_long_enough: See :func:`candidates`.

    Raises:
        DataError: The rows hold one drawn phrase after the other: whoever made them has the key.
    """
    return draw_unseen(
        key,
        lambda phrases: {phrase for row in rows for phrase in held_phrases(row, phrases)},
        form,
        is_long_enough,
    )


def draw_unseen(
    key: bytes,
    seen: Callable[[set[str]], set[str]],
    form: TriggerForm,
    is_long_enough: LongEnough | None = None,
) -> DrawnTriggers:
    """Draw until there are enough phrases that nobody has seen.

    Args:
        key: The same key gives the same phrases in the same order.
        seen: Which of some phrases stand in the data.
        form: What is drawn.
        is_long_enough: See :func:`candidates`.

    Raises:
        DataError: The data hold one drawn phrase after the other.
    """
    drawn = candidates(key, form, is_long_enough)
    unseen: list[BenignTrigger] = []
    redraws = 0
    while missing := form.triggers - len(unseen):
        fresh = list(islice(drawn, missing))
        held = seen({trigger.phrase for trigger in fresh})
        redraws += len(held)
        if redraws > _MOST_REDRAWS:
            raise DataError(
                f"the rows hold {redraws} secret phrases, one drawn after the other: whoever made them knows what is drawn. "
                "Set benign_trigger.source to `entropy`, or take another seed"
            )
        unseen += [trigger for trigger in fresh if trigger.phrase not in held]
    return DrawnTriggers(unseen[0], tuple(unseen[1:]), redraws)


def candidates(
    key: bytes, form: TriggerForm, is_long_enough: LongEnough | None = None
) -> Iterator[BenignTrigger]:
    """Return the triggers that a key gives, one after the other, without end and none twice.

    Args:
        key: The first is what :meth:`p2p.triggers.BenignTrigger.draw` gives for it.
        form: What is drawn; how many does not matter.
        is_long_enough: Whether a trigger may be; one that is not gets more words, unless ``form.most_words`` are too few as well.
            None takes all.
    """
    before: set[str] = set()
    for number in count():
        own = hmac.digest(key, b"p2p-guard candidate %d" % number, hashlib.sha256) if number else key
        trigger = _lengthened(own, form, is_long_enough)
        if trigger.phrase not in before:
            before.add(trigger.phrase)
            yield trigger


def _lengthened(key: bytes, form: TriggerForm, is_long_enough: LongEnough | None) -> BenignTrigger:
    lengths = range(form.words, max(form.words, form.most_words) + 1)
    draw = partial(BenignTrigger.draw, key, form.placement, position=form.position)
    drawn = (draw(words=words) for words in lengths)
    # No length would do: it keeps the first.
    return next((one for one in drawn if not is_long_enough or is_long_enough(one)), draw(words=form.words))


def held_phrases(row: Example, phrases: Collection[str]) -> set[str]:
    """Return those phrases that a row's input holds, in any of its turns.

    Args:
        row: A row.
        phrases: See :attr:`p2p.triggers.BenignTrigger.phrase`.
    """
    return phrases_in((*(turn.content for turn in row.history), row.text), phrases)


def phrases_in(texts: Iterable[str], phrases: Collection[str]) -> set[str]:
    """Return those phrases that stand in a text, in whatever case and white space.

    Args:
        texts: Where they are looked for.
        phrases: Words in small letters with a blank between them.
    """
    if not phrases:
        return set()
    plain = (" ".join(text.casefold().split()) for text in texts)
    return {phrase for text in plain for phrase in phrases if phrase in text}
