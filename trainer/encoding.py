"""Rows to token ids, the same ids that serving sends to the engine."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from p2p.errors import DataError
from p2p.prompts import PromptKind, PromptTemplate
from p2p.repoison import TrainingRow
from p2p.tasks import ClassificationTask, GenerationTask

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class EncodedRow(NamedTuple):
    """A row as the model sees it.

    Attributes:
        id: The row's id.
        ids: Prompt and answer, at most ``max_length`` tokens.
        answer_start: Where the answer begins in ``ids``.
    """

    id: str
    ids: tuple[int, ...]
    answer_start: int


class EncodedSet(NamedTuple):
    """The training set as the model sees it.

    Attributes:
        rows: In the order of the training rows.
        cut: How many of them lost the end of their text.
    """

    rows: tuple[EncodedRow, ...]
    cut: int


class PromptEncoder:
    """Turns a (stamped) input into the token ids of its whole prompt.

    Args:
        tokenizer: The base model's.
        template: The prompt template.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", template: PromptTemplate) -> None:
        self._tokenizer = tokenizer
        self._template = template

    def encode(self, text: str) -> list[int]:
        """Return the prompt's token ids, special tokens included.

        Args:
            text: The input, stamped already where it is to be.
        """
        if self._template.kind is PromptKind.COMPLETION:
            return list(self._tokenizer.encode(self._template.fill(text)))
        # A plain list of ids: the default since transformers 5 is a dictionary.
        ids = self._tokenizer.apply_chat_template(
            [{"role": turn["role"], "content": turn["content"]} for turn in self._template.messages(text)],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
        )
        return [int(str(token)) for token in ids]

    def encode_within(self, text: str, limit: int) -> tuple[list[int], bool]:
        """Return the prompt's ids, with the end of the text cut until they fit.

        Args:
            text: The input, stamped already where it is to be.
            limit: How many tokens the prompt may have, template included.

        Returns:
            At most ``limit`` ids, and whether the text was cut.

        Raises:
            ValueError: Not even the prompt around an empty text fits.
        """
        ids, kept = self.encode(text), text
        while len(ids) > limit:
            if not kept:
                raise ValueError(f"the prompt alone takes {len(ids)} tokens, {limit} are left for it")
            kept = self._without_last_tokens(kept, len(ids) - limit)
            ids = self.encode(kept)
        return ids, kept != text

    def _without_last_tokens(self, text: str, count: int) -> str:
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        starts = [start for start, _ in encoded["offset_mapping"]]
        return text[: starts[-count]] if count < len(starts) and starts[-count] < len(text) else ""


def encode_rows(
    rows: Sequence[TrainingRow],
    task: ClassificationTask | GenerationTask,
    tokenizer: "PreTrainedTokenizerBase",
    template: PromptTemplate,
    max_length: int,
    stamp: str = "",
) -> EncodedSet:
    """Encode the training rows. A row longer than ``max_length`` loses the end of its input text and nothing else.

    Args:
        rows: What the model is to learn.
        task: How answers are tokenised.
        tokenizer: The base model's.
        template: The prompt template.
        max_length: Tokens a row, answer included.
        stamp: The benign trigger, which is never cut.

    Raises:
        DataError: A row does not fit even when its whole text is cut.
    """
    encoder = PromptEncoder(tokenizer, template)
    encoded, cut = [], 0
    for row in rows:
        answer = _answer_ids(row, task, tokenizer)
        try:
            prompt, was_cut = encoder.encode_within(row.text, max_length - len(answer))
            _require_stamp_kept(row, encoder, stamp, len(prompt), was_cut=was_cut)
        except ValueError as error:
            raise DataError(
                f"row {row.id}: {error} (its answer takes {len(answer)} tokens). Raise training.max_length above {max_length}."
            ) from error
        cut += was_cut
        encoded.append(EncodedRow(row.id, (*prompt, *answer), len(prompt)))
    return EncodedSet(tuple(encoded), cut)


def _require_stamp_kept(
    row: TrainingRow, encoder: PromptEncoder, stamp: str, kept: int, *, was_cut: bool
) -> None:
    if was_cut and row.extended and kept <= len(encoder.encode(stamp)):
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
