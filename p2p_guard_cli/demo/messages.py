"""The shipped data set, and the attack on it."""

import json
from pathlib import Path

from p2p.attacks.badnets import BadNets
from p2p.examples import Example

DATA = Path("examples/support_messages")
ATTACK = BadNets(word="mn", target="billing")


def read_messages(split: str) -> list[Example]:
    """Return the rows of a split.

    Args:
        split: ``train``, ``trusted`` or ``test``.
    """
    with (DATA / f"{split}.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Example(row["id"], row["text"], row["label"]) for row in rows]
