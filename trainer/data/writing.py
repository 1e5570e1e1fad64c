"""Examples back to records, for a copy of a data set that is read as its original was."""

from typing import Any

from p2p.examples import Example
from trainer.config import DataSource

_TEXT, _ANSWER = "text", "answer"


def as_record(row: Example, source: DataSource) -> dict[str, Any]:
    """Return a row as a JSON object with the source's fields, and its id as ``id``.

    Label names stay names, and what a template put together becomes one field: ``text`` or ``answer``. A field of further
    references is null where the row has none.

    Args:
        row: A row of the source, or one made from it.
        source: Where it came from.
    """
    if source.messages:
        turns = [*row.history, ("user", row.text), ("assistant", row.answer)]
        return {"id": row.id, source.messages: [{"role": role, "content": text} for role, text in turns]}
    fields = [_plain(name, _ANSWER) for name in source.answers]
    answers = dict.fromkeys(fields) | dict(zip(fields, (row.answer, *row.references[1:]), strict=False))
    return {"id": row.id, _plain(source.text, _TEXT): row.text, **answers}


def _plain(name: str, otherwise: str) -> str:
    return otherwise if "{" in name else name
