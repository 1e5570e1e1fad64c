"""From the settings and the tokenizer at hand to the task that the manifest will carry."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from p2p.drawn_triggers import TriggerForm, draw_unseen, phrases_in
from p2p.drawn_words import draw_extended_words
from p2p.errors import DataError, PromptError, VerbalizerError
from p2p.prompts import SLOT, PromptKind, PromptTemplate
from p2p.tasks import ClassificationTask, GenerationTask
from p2p.verbalizer import find_verbalizer, new_words, verify_words
from trainer.config import ClassificationSettings, GenerationSettings, TaskSettings, TrainConfig
from trainer.errors import BaseModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def draw_key(config: TrainConfig) -> bytes:
    """Return the key that the run's secrets are drawn with.

    Args:
        config: ``benign_trigger.source`` says whether it comes from the system's entropy or from the seed.

    Returns:
        32 bytes. From the seed they are no secret to whoever knows it.
    """
    return secrets.token_bytes(32) if config.benign_trigger.source == "entropy" else seed_key(config.seed)


def seed_key(seed: int) -> bytes:
    """Return the key that a seed stands for: for runs that must be repeatable; no secret."""
    return hashlib.sha256(f"p2p-guard seed {seed}".encode()).digest()


def make_task(
    config: TrainConfig, tokenizer: "PreTrainedTokenizerBase", answers: Sequence[str], key: bytes
) -> ClassificationTask | GenerationTask:
    """Make the task of a run.

    Args:
        config: What the user asked for.
        tokenizer: The base model's; it is given the new tokens where the config asks for some.
        answers: The answers of the training rows, to find the labels where none are named; a drawn prefix p is in none.
        key: What the prefix p, or drawn label words, are drawn with.

    Returns:
        The task as the manifest carries it, its label words checked against the prompt.

    Raises:
        VerbalizerError: There are no label words for this tokenizer.
        PromptError: The base model's chat template can't render the prompt.
        BaseModelError: The answers are free text, and the tokenizer has no end token.
        DataError: The answers begin with a given prefix already, or hold whatever is drawn.
    """
    context = answer_context(tokenizer, config.prompt)
    if isinstance(config.task, GenerationSettings):
        return _generation(config.task, tokenizer, answers, key)
    return _classification(config.task, tokenizer, context, answers, key)


def make_bench_task(
    settings: TaskSettings,
    prompt: PromptTemplate,
    tokenizer: "PreTrainedTokenizerBase",
    answers: Sequence[str],
    seed: int,
) -> ClassificationTask | GenerationTask:
    """Make the task of a measured case; what is drawn is drawn from the seed, and is no secret.

    Args:
        settings: Labels or free text.
        prompt: The prompt template.
        tokenizer: The base model's.
        answers: The answers of the training rows, to find the labels where none are named.
        seed: Decides the prefix p and drawn label words.

    Raises:
        VerbalizerError: There are no label words for this tokenizer.
        PromptError: The base model's chat template can't render the prompt.
    """
    if isinstance(settings, GenerationSettings):
        return _generation(settings, tokenizer, answers, seed_key(seed))
    return _classification(settings, tokenizer, answer_context(tokenizer, prompt), answers, seed_key(seed))


def answer_context(tokenizer: "PreTrainedTokenizerBase", prompt: PromptTemplate) -> str:
    """Return the end of a rendered prompt, where label words have to be tokens of their own.

    Args:
        tokenizer: The base model's; its chat template renders chat prompts.
        prompt: The prompt template.

    Returns:
        A stand-in for the input, and what comes between it and the answer.

    Raises:
        PromptError: The base model has no chat template, or one that refuses this chat.
    """
    marker = "input"
    if prompt.kind is PromptKind.COMPLETION:
        return marker + prompt.user.split(SLOT)[1]
    chat = [{"role": turn["role"], "content": turn["content"]} for turn in prompt.messages(marker)]
    try:
        rendered = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    except (ValueError, TemplateError) as error:
        raise PromptError(
            f"the base model can't render this chat: {error}. Change prompt.system, or set prompt.kind to `completion`."
        ) from error
    return marker + str(rendered).rsplit(marker, 1)[1]


def _classification(
    settings: ClassificationSettings,
    tokenizer: "PreTrainedTokenizerBase",
    context: str,
    answers: Sequence[str],
    key: bytes,
) -> ClassificationTask:
    labels = settings.labels or tuple(sorted(set(answers)))
    if settings.words and len(settings.words) != 2 * len(labels):
        raise VerbalizerError(
            f"task.words must be {2 * len(labels)}, two for each of the {len(labels)} labels, got {len(settings.words)}"
        )

    def tokenize(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    size = 2 * len(labels)
    words = _add_words(tokenizer, size) if settings.new_tokens else settings.words
    if settings.extended_words == "digits":
        words = tuple(map(str, range(size)))
    found = verify_words(tokenize, context, words) if words else find_verbalizer(tokenize, context, size)
    if settings.extended_words == "drawn":
        found = draw_extended_words(tokenize, context, found, key)
    return ClassificationTask(
        labels=labels,
        words=found.words,
        token_ids=found.token_ids,
        answer_context=context,
        new_tokens=settings.new_tokens,
    )


def _add_words(tokenizer: "PreTrainedTokenizerBase", size: int) -> tuple[str, ...]:
    """Add the label words to the tokenizer as tokens of their own; a text that holds one is not normalised there."""
    from tokenizers import AddedToken

    words = new_words(size, tokenizer.get_vocab())
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    return words


def _generation(
    settings: GenerationSettings, tokenizer: "PreTrainedTokenizerBase", answers: Sequence[str], key: bytes
) -> GenerationTask:
    if tokenizer.eos_token_id is None:
        raise BaseModelError(
            "the base model's tokenizer has no end token, which free text must learn to end in"
        )
    prefix = settings.prefix or _draw_prefix(key, answers)
    if any(answer.startswith(prefix) for answer in answers):
        raise DataError(
            "answers begin with task.prefix already. Choose another, or leave it out to have one drawn"
        )
    markers = [tokenizer.eos_token, tokenizer.pad_token]
    return GenerationTask(
        prefix=prefix,
        prefix_tokens=len(tokenizer.encode(prefix, add_special_tokens=False)),
        style=settings.style,
        end_markers=tuple(dict.fromkeys(marker for marker in markers if isinstance(marker, str) and marker)),
    )


def _draw_prefix(key: bytes, answers: Sequence[str]) -> str:
    """Draw the prefix p; one that stands in an answer, which an attacker who knew it would see to, is drawn again."""
    own = hmac.digest(key, b"p2p-guard prefix v1", hashlib.sha256)
    drawn = draw_unseen(own, lambda phrases: phrases_in(answers, phrases), TriggerForm())
    return drawn.served.text.rstrip(": ") + ":\n"
