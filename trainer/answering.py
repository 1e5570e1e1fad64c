"""Asking a model in process, by the guard's rules: stamped and held to the extended half, or free and plain."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from p2p.examples import Example
from p2p.normalise import AnswerStyle, normalise
from p2p.projection import Projection, project
from p2p.prompts import PromptTemplate
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger, Placement
from trainer.adapter_model import logits_at
from trainer.batches import collate
from trainer.encoding import EncodedRow, PromptEncoder
from trainer.generating import generate_texts
from trainer.label_words import freely_said_words, said_words
from trainer.trunk import Trunk

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

T = TypeVar("T")
Input = str | Example
"""What can be asked: a text as a user writes it, or an example, whose history is the chat before its text."""

GUARDED = "guarded"
UNGUARDED = "unguarded"
FREE = "free"
"""Stamped, and then neither held to the extended half nor asked again with the prefix: what the training alone achieves."""
FORCED = "forced"
"""Stamped, and free text is begun with the prefix at once, as the guard does for requests with stop texts."""


class Adapter(NamedTuple):
    """What answering needs to know of an adapter.

    Attributes:
        task: The labels and their tokens, or the prefix p.
        prompt: The prompt template.
        trigger: The benign trigger; None for an undefended adapter.
    """

    task: ClassificationTask | GenerationTask
    prompt: PromptTemplate
    trigger: BenignTrigger | None


class Answerer:
    """A loaded model that answers inputs.

    Args:
        model: Base and adapter, in evaluation mode.
        tokenizer: The base model's, with the adapter's new tokens where it has some.
        adapter: Task, prompt and trigger.
        max_length: Longest prompt in tokens; the end of a longer input is cut.
        batch_size: Rows at once.
        max_new_tokens: Longest free-text answer, without its prefix.
        on_progress: Called with the number of rows answered since the last call. Free text that is asked a second time,
            with the prefix forced, counts once.
        trunk: The frozen layers' states, for labels; None runs the whole model.
    """

    def __init__(  # noqa: PLR0913 - constructor injection
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        adapter: Adapter,
        *,
        max_length: int = 512,
        batch_size: int = 32,
        max_new_tokens: int = 64,
        on_progress: Callable[[int], None] = lambda _: None,
        trunk: Trunk | None = None,
    ) -> None:
        self._trunk = trunk
        self._model = model
        self._tokenizer = tokenizer
        self._adapter = adapter
        self._max_length = max_length
        self._batch_size = batch_size
        self._max_new_tokens = max_new_tokens
        self._on_progress = on_progress
        placement = adapter.trigger.placement if adapter.trigger else Placement.LAST_USER
        self._encoder = PromptEncoder(tokenizer, adapter.prompt, placement)

    @property
    def views(self) -> tuple[str, ...]:
        """The views that an adapter is measured in: an undefended one can't be asked guarded."""
        return (GUARDED, UNGUARDED) if self._adapter.trigger else (UNGUARDED,)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of a classifier; empty for free text."""
        return self._adapter.task.labels if isinstance(self._adapter.task, ClassificationTask) else ()

    @property
    def style(self) -> AnswerStyle | None:
        """What kind of free text the answers are; None for a classifier."""
        return self._adapter.task.style if isinstance(self._adapter.task, GenerationTask) else None

    def answer(self, inputs: Sequence[Input], view: str) -> list[Projection]:
        """Answer each input.

        Args:
            inputs: Texts as a user writes them, or examples, whose history then is the chat before the text.
            view: ``guarded``, ``unguarded``, ``free`` or ``forced``.

        Returns:
            The projected answers in the order of the inputs; ``extended`` says where the free-running model stood (never
            there for ``forced`` text, of which none runs free). The answer is None where free labels are no label.

        Raises:
            PromptError: A chat is asked of a prompt that takes single texts.
        """
        task, stamped = self._adapter.task, view != UNGUARDED
        if not isinstance(task, ClassificationTask):
            return self._texts(task, inputs, view)
        reply = (
            partial(self._free_words, task)
            if view == FREE
            else partial(self._labels, task, guarded=view in (GUARDED, FORCED))
        )
        return self._ask(inputs, reply, stamped=stamped)

    def answer_freely(self, inputs: Sequence[Input]) -> list[Projection]:
        """Answer each input plain and with the whole vocabulary open: a classifier may say what is no label at all.

        Args:
            inputs: Texts as a user writes them, or examples.

        Returns:
            The projected answers in the order of the inputs; None where a classifier's answer is no label word.
        """
        task = self._adapter.task
        if not isinstance(task, ClassificationTask):
            return self.answer(inputs, UNGUARDED)
        return self._ask(inputs, partial(self._free_words, task), stamped=False)

    def label_probabilities(self, inputs: Sequence[Input], view: str) -> list[tuple[float, ...]]:
        """Return how probable each label is, for each input.

        Args:
            inputs: Texts as a user writes them, or examples.
            view: ``guarded`` takes the extended half alone, ``unguarded`` the original half alone.

        Returns:
            In the order of the inputs, one probability for each label, in the order of the labels; they sum to 1.

        Raises:
            ValueError: The task is free text, or its words are not known by their first token.
        """
        task = self._adapter.task
        if not isinstance(task, ClassificationTask):
            raise ValueError("free text has no label probabilities")  # noqa: TRY004 - the adapter's task, no argument
        if not task.first_token_decides:
            raise ValueError("label words that begin alike have no probabilities at their first token")
        guarded = view == GUARDED
        tokens = task.extended_first_tokens if guarded else task.first_tokens[: len(task.labels)]
        return self._ask(inputs, partial(self._probabilities, tokens), stamped=guarded)

    def _ask(
        self, inputs: Sequence[Input], reply: Callable[[Sequence[EncodedRow]], Sequence[T]], *, stamped: bool
    ) -> list[T]:
        """Ask the inputs in batches of like length; the replies come in the order of the inputs."""
        rows = self._prompts(inputs, stamped=stamped)
        found = self._in_batches(rows, reply, self._on_progress)
        return [found[row.id] for row in rows]

    def _prompts(self, inputs: Sequence[Input], *, stamped: bool) -> list[EncodedRow]:
        return [self._prompt(str(at), asked, stamped=stamped) for at, asked in enumerate(inputs)]

    def _prompt(self, row_id: str, asked: Input, *, stamped: bool) -> EncodedRow:
        trigger = self._adapter.trigger
        text, history = (asked, ()) if isinstance(asked, str) else (asked.text, asked.history)
        if stamped and trigger:
            text, history = trigger.stamp(text), trigger.stamp_history(history)
        kept_end = trigger.kept_end if stamped and trigger else 0
        ids = self._encoder.encode_within(text, self._max_length, history, kept_end).ids
        # The last token stands in for the answer, so that collate asks for the logits at the prompt's end.
        return EncodedRow(row_id, (*ids, ids[-1]), len(ids))

    def _in_batches(
        self,
        rows: Sequence[EncodedRow],
        ask: Callable[[Sequence[EncodedRow]], Sequence[T]],
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> dict[str, T]:
        import torch

        answers: dict[str, T] = {}
        by_length = sorted(rows, key=lambda row: len(row.ids))
        with torch.inference_mode():
            for start in range(0, len(by_length), self._batch_size):
                batch = by_length[start : start + self._batch_size]
                answers.update(zip((row.id for row in batch), ask(batch), strict=True))
                on_progress(len(batch))
        return answers

    def _texts(self, task: GenerationTask, inputs: Sequence[Input], view: str) -> list[Projection]:
        """Let the model run free; where a guarded reply lacks the prefix, ask again with it as the forced beginning."""
        rows = self._prompts(inputs, stamped=view != UNGUARDED)
        if view == FORCED:
            answers = self._in_batches(rows, partial(self._forced, task), self._on_progress)
            return [answers[row.id] for row in rows]
        answers = self._in_batches(rows, partial(self._free, task), self._on_progress)
        if view == GUARDED:
            escaped = [row for row in rows if not answers[row.id].extended]
            answers |= self._in_batches(escaped, partial(self._forced, task))
        return [answers[row.id] for row in rows]

    def _free(self, task: GenerationTask, rows: Sequence[EncodedRow]) -> list[Projection]:
        found = [project(task, reply) for reply in self._generate(rows, [], task.prefix_tokens)]
        return [each._replace(answer=self._normalised(task, each.answer or "")) for each in found]

    def _forced(self, task: GenerationTask, rows: Sequence[EncodedRow]) -> list[Projection]:
        prefix = self._tokenizer.encode(task.prefix, add_special_tokens=False)
        replies = self._generate(rows, prefix, 0)
        return [Projection(self._normalised(task, reply), extended=False) for reply in replies]

    def _generate(self, rows: Sequence[EncodedRow], forced: list[int], more: int) -> list[str]:
        prompts = [[*row.ids[:-1], *forced] for row in rows]
        return generate_texts(self._model, self._tokenizer, prompts, self._max_new_tokens + more)

    def _normalised(self, task: GenerationTask, reply: str) -> str:
        return normalise(reply, task.style, task.end_markers)

    def _labels(
        self, task: ClassificationTask, rows: Sequence[EncodedRow], *, guarded: bool
    ) -> list[Projection]:
        size = len(task.labels)
        tokens = sorted({token for word in task.token_ids for token in word})

        def score(asked: Sequence[EncodedRow]) -> list[dict[int, float]]:
            return [dict(zip(tokens, row, strict=True)) for row in self._logits(asked)[:, tokens].tolist()]

        begun = score(rows)
        free_words = task.token_ids if self._adapter.trigger else task.token_ids[:size]
        free = said_words(rows, free_words, begun, score)
        held = said_words(rows, task.token_ids[size:], begun, score) if guarded else free
        return [
            Projection(task.labels[label % size], extended=best >= size)
            for label, best in zip(held, free, strict=True)
        ]

    def _free_words(self, task: ClassificationTask, rows: Sequence[EncodedRow]) -> list[Projection]:
        size = len(task.labels)
        known = task.token_ids if self._adapter.trigger else task.token_ids[:size]

        def say(asked: Sequence[EncodedRow]) -> list[int]:
            return [int(token) for token in self._logits(asked).argmax(dim=1)]

        return [
            Projection(None, extended=False)
            if spot is None
            else Projection(task.labels[spot % size], extended=spot >= size)
            for spot in freely_said_words(rows, known, say)
        ]

    def _probabilities(self, tokens: Sequence[int], rows: Sequence[EncodedRow]) -> list[tuple[float, ...]]:
        logits = self._logits(rows)[:, list(tokens)]
        return [tuple(row) for row in logits.double().softmax(dim=1).tolist()]

    def _logits(self, rows: Sequence[EncodedRow]) -> "torch.Tensor":
        states, below = (self._trunk.states(rows), self._trunk.below) if self._trunk else (None, 0)
        return logits_at(self._model, collate(rows, self._pad), states, below)

    @property
    def _pad(self) -> int:
        pad = self._tokenizer.pad_token_id
        return pad if isinstance(pad, int) else 0
