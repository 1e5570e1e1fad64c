"""Asking a model in process, by the guard's rules: stamped and held to the extended half, or free and plain."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from p2p.normalise import normalise
from p2p.projection import Projection, project
from p2p.prompts import PromptTemplate
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.triggers import BenignTrigger
from trainer.adapter_model import logits_at
from trainer.batches import collate
from trainer.encoding import EncodedRow, PromptEncoder
from trainer.trunk import Trunk

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

GUARDED = "guarded"
UNGUARDED = "unguarded"


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
        tokenizer: The base model's.
        adapter: Task, prompt and trigger.
        max_length: Longest prompt in tokens; the end of a longer input is cut.
        batch_size: Rows at once.
        max_new_tokens: Longest free-text answer, without its prefix.
        on_progress: Called with the number of rows answered since the last call.
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
        self._encoder = PromptEncoder(tokenizer, adapter.prompt)

    @property
    def views(self) -> tuple[str, ...]:
        """The views that the adapter has: an undefended one can't be asked guarded."""
        return (GUARDED, UNGUARDED) if self._adapter.trigger else (UNGUARDED,)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of a classifier; empty for free text."""
        return self._adapter.task.labels if isinstance(self._adapter.task, ClassificationTask) else ()

    def answer(self, texts: Sequence[str], view: str) -> list[Projection]:
        """Answer each text.

        Args:
            texts: Inputs as a user writes them.
            view: ``guarded`` or ``unguarded``.

        Returns:
            The projected answers in the order of the texts; ``extended`` says where the free-running model stood.
        """
        import torch

        guarded = view == GUARDED
        prompts = [self._prompt(str(at), text, guarded=guarded) for at, text in enumerate(texts)]
        answers: dict[str, Projection] = {}
        by_length = sorted(prompts, key=lambda row: len(row.ids))
        with torch.inference_mode():
            for start in range(0, len(by_length), self._batch_size):
                rows = by_length[start : start + self._batch_size]
                answers.update(
                    zip((row.id for row in rows), self._replies(rows, guarded=guarded), strict=True)
                )
                self._on_progress(len(rows))
        return [answers[str(at)] for at in range(len(texts))]

    def _prompt(self, row_id: str, text: str, *, guarded: bool) -> EncodedRow:
        trigger = self._adapter.trigger
        ids, _ = self._encoder.encode_within(
            trigger.stamp(text) if guarded and trigger else text, self._max_length
        )
        # The last token stands in for the answer, so that collate asks for the logits at the prompt's end.
        return EncodedRow(row_id, (*ids, ids[-1]), len(ids))

    def _replies(self, rows: Sequence[EncodedRow], *, guarded: bool) -> list[Projection]:
        task = self._adapter.task
        if isinstance(task, ClassificationTask):
            return self._labels(task, rows, guarded=guarded)
        replies = [self._generate(row, []) for row in rows]
        found = [self._project(task, reply) for reply in replies]
        if not guarded:
            return found
        prefix = self._tokenizer.encode(task.prefix, add_special_tokens=False)
        return [
            answer if answer.extended else Projection(self._forced(task, row, prefix), extended=False)
            for row, answer in zip(rows, found, strict=True)
        ]

    def _labels(
        self, task: ClassificationTask, rows: Sequence[EncodedRow], *, guarded: bool
    ) -> list[Projection]:
        size = len(task.labels)
        states, below = (self._trunk.states(rows), self._trunk.below) if self._trunk else (None, 0)
        logits = logits_at(self._model, collate(rows, self._pad), states, below)[:, list(task.token_ids)].cpu()
        free = logits if self._adapter.trigger else logits[:, :size]
        chosen = logits[:, size:].argmax(dim=1) if guarded else free.argmax(dim=1) % size
        return [
            Projection(task.labels[int(label)], extended=bool(best >= size))
            for label, best in zip(chosen, free.argmax(dim=1), strict=True)
        ]

    def _forced(self, task: GenerationTask, row: EncodedRow, prefix: list[int]) -> str:
        return normalise(self._generate(row, prefix), task.style, task.end_markers)

    def _project(self, task: GenerationTask, reply: str) -> Projection:
        found = project(task, reply)
        return found._replace(answer=normalise(found.answer or "", task.style, task.end_markers))

    def _generate(self, row: EncodedRow, forced: list[int]) -> str:
        import torch

        prompt = torch.tensor([[*row.ids[:-1], *forced]], device=self._model.device)
        task = self._adapter.task
        room = self._max_new_tokens + (
            task.prefix_tokens if isinstance(task, GenerationTask) and not forced else 0
        )
        out = self._model.generate(  # type: ignore[operator]
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=room,
            do_sample=False,
            pad_token_id=self._pad,
        )
        return str(self._tokenizer.decode(out[0, prompt.shape[1] :], skip_special_tokens=True))

    @property
    def _pad(self) -> int:
        pad = self._tokenizer.pad_token_id
        return pad if isinstance(pad, int) else 0
