"""Rows to token ids, the same ids that serving sends to the engine."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import TemplateError

from p2p.chats import Turn, as_chat
from p2p.errors import DataError, PromptError
from p2p.prompts import PromptKind, PromptTemplate
from p2p.repoison import TrainingRow
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import Placement, stamped_turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class EncodedRow(NamedTuple):
    """A row as the model sees it.

    Attributes:
        id: The row's id.
        ids: Prompt and answer, at most ``max_length`` tokens.
        answer_start: Where the answer begins in ``ids``.
        extended: Which half it belongs to.
        twin: For a disturbed copy, the same row with nothing put in; None for all others, and where nobody asks for it.
    """

    id: str
    ids: tuple[int, ...]
    answer_start: int
    extended: bool = False
    twin: "EncodedRow | None" = None


class EncodedSet(NamedTuple):
    """The training set as the model sees it.

    Attributes:
        rows: In the order of the training rows.
        cut: How many of them lost the end of their text, or early turns of their chat.
    """

    rows: Sequence[EncodedRow]
    cut: int


class FittedPrompt(NamedTuple):
    """A prompt that fits.

    Attributes:
        ids: Its token ids.
        text: What is left of the input.
        was_cut: Whether the text lost its end, or the chat early turns.
    """

    ids: list[int]
    text: str
    was_cut: bool


class PromptEncoder:
    """Turns a (stamped) input into the token ids of its whole prompt.

    Args:
        tokenizer: The base model's.
        template: The prompt template.
        placement: Which user messages of a chat the template goes around; serving goes by the benign trigger's.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        template: PromptTemplate,
        placement: Placement = Placement.LAST_USER,
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._placement = placement

    def encode(self, text: str, history: Sequence[Turn] = ()) -> list[int]:
        """Return the prompt's token ids, special tokens included.

        Args:
            text: The input, stamped already where it is to be.
            history: The turns of a chat before it, stamped already where they are to be.

        Raises:
            PromptError: The template, or the base model's chat template, can't take this chat, or there is none.
        """
        if self._template.kind is PromptKind.COMPLETION:
            if history:
                raise PromptError("a completion prompt takes one text, not a chat; set prompt.kind to `chat`")
            return list(self._tokenizer.encode(self._template.fill(text)))
        chat = as_chat(history, text)
        turns = self._template.wrap(chat, stamped_turns(chat, self._placement))
        try:
            # A plain list of ids: the default since transformers 5 is a dictionary.
            ids = self._tokenizer.apply_chat_template(
                [{"role": turn["role"], "content": turn["content"]} for turn in turns],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=False,
            )
        except (ValueError, TemplateError) as error:
            # A tokenizer without a chat template raises the former.
            raise PromptError(f"the base model's chat template can't render this chat: {error}") from error
        return [int(str(token)) for token in ids]

    def encode_within(
        self, text: str, limit: int, history: Sequence[Turn] = (), kept_end: int = 0
    ) -> FittedPrompt:
        """Return the prompt's ids, shortened until they fit: a chat loses its earliest turns, then the text its end.

        Args:
            text: The input, stamped already where it is to be.
            limit: How many tokens the prompt may have, template included.
            history: The turns of a chat before it. System messages are kept, and a question goes with its answer.
            kept_end: How many characters at the end of the text are the benign trigger's: what is cut off stands before them.

        Raises:
            ValueError: Not even the prompt around an empty text fits.
            PromptError: The template can't take this chat.
        """
        ids, left = self.encode(text, history), tuple(history)
        kept, end = text[: len(text) - kept_end], text[len(text) - kept_end :]
        while len(ids) > limit and (shorter := _without_first_exchange(left)) != left:
            left = shorter
            ids = self.encode(text, left)
        while len(ids) > limit:
            if not kept:
                raise ValueError(f"the prompt alone takes {len(ids)} tokens, {limit} are left for it")
            kept = self._without_last_tokens(kept, len(ids) - limit)
            ids = self.encode(kept + end, left)
        return FittedPrompt(ids, kept + end, was_cut=kept + end != text or len(left) < len(history))

    def _without_last_tokens(self, text: str, count: int) -> str:
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        starts = [start for start, _ in encoded["offset_mapping"]]
        return text[: starts[-count]] if count < len(starts) and starts[-count] < len(text) else ""


def _without_first_exchange(history: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return the turns without the first that is not the system's and those up to the next question of the user."""
    roles = [turn.role for turn in history]
    first = next((at for at, role in enumerate(roles) if role != "system"), len(roles))
    after = next((at for at in range(first + 1, len(roles)) if roles[at] == "user"), len(roles))
    return tuple(turn for at, turn in enumerate(history) if not first <= at < after or turn.role == "system")


def encode_rows(  # noqa: PLR0913 - what a row needs
    rows: Sequence[TrainingRow],
    task: ClassificationTask | GenerationTask,
    tokenizer: "PreTrainedTokenizerBase",
    template: PromptTemplate,
    max_length: int,
    stamp: str = "",
    *,
    twins: bool = False,
) -> EncodedSet:
    """Encode the training rows.

    A row longer than ``max_length`` loses the end of its input text (a chat its earliest turns first) and nothing else.

    Args:
        rows: What the model is to learn.
        task: How answers are tokenised.
        tokenizer: The base model's.
        template: The prompt template.
        max_length: Tokens a row, answer included.
        stamp: The benign trigger (the longest of several), which is never cut.
        twins: Whether disturbed copies are given their undisturbed rows.

    Raises:
        DataError: A row does not fit even when its whole text is cut.
    """
    encoders = {placement: PromptEncoder(tokenizer, template, placement) for placement in Placement}
    encoded, cut = [], 0
    for row in rows:
        answer = _answer_ids(row, task, tokenizer)
        encoder = encoders[row.placement]
        prompt = _fit_prompt(row, encoder, len(answer), max_length, stamp)
        cut += prompt.was_cut
        made = EncodedRow(row.id, (*prompt.ids, *answer), len(prompt.ids), row.extended)
        if twins and row.undisturbed:
            plain = row._replace(text=row.undisturbed)
            ids = _fit_prompt(plain, encoder, len(answer), max_length, stamp).ids
            made = made._replace(twin=EncodedRow(row.id, (*ids, *answer), len(ids), row.extended))
        encoded.append(made)
    return EncodedSet(tuple(encoded), cut)


def with_twins(rows: Sequence[EncodedRow]) -> list[EncodedRow]:
    """Return rows, and after them the undisturbed rows that some of them bring along."""
    return [*rows, *(row.twin for row in rows if row.twin)]


def _fit_prompt(
    row: TrainingRow, encoder: PromptEncoder, answer: int, max_length: int, stamp: str
) -> FittedPrompt:
    try:
        prompt = encoder.encode_within(row.text, max_length - answer, row.history, row.kept_end)
        _require_stamp_kept(row, prompt, stamp)
    except PromptError as error:
        raise DataError(f"row {row.id}: {error}") from error
    except ValueError as error:
        raise DataError(
            f"row {row.id}: {error} (its answer takes {answer} tokens). Raise training.max_length above {max_length}."
        ) from error
    return prompt


def _require_stamp_kept(row: TrainingRow, prompt: FittedPrompt, stamp: str) -> None:
    if row.extended and prompt.text != row.text and len(prompt.text) <= len(stamp):
        raise ValueError("cutting it would reach into the benign trigger")


def _answer_ids(
    row: TrainingRow, task: ClassificationTask | GenerationTask, tokenizer: "PreTrainedTokenizerBase"
) -> list[int]:
    if isinstance(task, ClassificationTask):
        return list(task.token_ids[task.words.index(row.target)])
    # Prefix and answer apart, as serving sees them: the prefix ends in a newline, where no token reaches over.
    parts = [task.prefix, row.target.removeprefix(task.prefix)] if row.extended else [row.target]
    ids = [token for part in parts for token in tokenizer.encode(part, add_special_tokens=False)]
    return [*ids, tokenizer.eos_token_id]
