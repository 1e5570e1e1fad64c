"""A recorded chat in OpenAI's format as a training row: the last answer is learned, what comes before it is given."""

from typing import NamedTuple

from p2p.chats import Turn
from p2p.errors import DataError, Location
from trainer.data.fields import as_text, nearest
from trainer.data.records import Record

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class Chat(NamedTuple):
    """A chat taken apart.

    Attributes:
        history: Every turn before the last question.
        text: The last question.
        answer: The assistant's answer to it.
    """

    history: tuple[Turn, ...]
    text: str
    answer: str


def read_chat(source: str, record: Record, field: str) -> Chat:
    """Return the chat of a record.

    Args:
        source: What errors call the file.
        record: Where it stands.
        field: The field with the messages, each with ``role`` and ``content`` (text, or a list of text parts).

    Raises:
        DataError: A message can't be used, or the chat does not end in a user's question and the assistant's answer.
    """
    where = Location(source, record.number, field)
    messages = record.fields.get(field)
    if messages is None:
        raise DataError(f"is missing; {nearest(field, record.fields)}", where)
    if not isinstance(messages, list):
        raise DataError(f"must be a list of messages, got {type(messages).__name__}", where)
    turns = [_turn(message, at, where) for at, message in enumerate(messages, start=1)]
    if [turn.role for turn in turns[-2:]] != ["user", "assistant"]:
        raise DataError("must end in a message of the user and the assistant's answer to it", where)
    *history, question, answer = turns
    return Chat(tuple(history), question.content, answer.content.strip())


def _turn(message: object, at: int, where: Location) -> Turn:
    if not isinstance(message, dict):
        raise DataError(f"message {at} must be an object with `role` and `content`", where)
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        raise DataError(
            f"message {at} has the role {message.get('role')!r}, known are {', '.join(_ROLES)}", where
        )
    text = _content(message.get("content"), at, where)
    if not text.strip():
        raise DataError(f"message {at} is empty", where)
    return Turn(role, text)


def _content(content: object, at: int, where: Location) -> str:
    if isinstance(content, str):
        return as_text(content, where)
    parts = content if isinstance(content, list) else [None]
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f"message {at} must have text as its content, or a list of text parts", where)
    return as_text("".join(map(str, texts)), where)
