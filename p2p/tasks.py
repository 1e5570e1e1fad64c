"""What an adapter answers: a label, or free text. Each task knows how its answers look in either half."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from p2p.labels import LabelSpace
from p2p.normalise import AnswerStyle
from p2p.verbalizer import first_clash


def _as_tokens(word: object) -> object:
    return (word,) if isinstance(word, int) else word


WordTokens = Annotated[tuple[int, ...], Field(min_length=1), BeforeValidator(_as_tokens)]
"""The tokens of a label word. A bare number is a word of one token: manifests of schema 1 have no others."""


class ClassificationTask(BaseModel):
    """One of n labels, each said with a word, in two halves.

    Attributes:
        labels: The n names that clients see, in the order of their indices.
        words: What the model says for the 2n labels: the original half, then the extended half.
        token_ids: The tokens of each word where the answer begins: one as a rule. None is, or begins, another.
        answer_context: The end of the rendered prompt, right before the answer; words and tokens are checked against it.
        new_tokens: Whether the words are tokens that the adapter adds to the base model's vocabulary.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["classification"] = "classification"
    labels: tuple[str, ...] = Field(min_length=2)
    words: tuple[str, ...]
    token_ids: tuple[WordTokens, ...]
    answer_context: str
    new_tokens: bool = False

    @model_validator(mode="after")
    def _halves_fit(self) -> Self:
        size = LabelSpace(self.labels).extended_size
        for name, values in (("words", self.words), ("token_ids", self.token_ids)):
            if len(values) != size or len(set(values)) != size:
                raise ValueError(f"{name} must be {size} distinct values, two for each label")
        if len({word.strip() for word in self.words}) != size:
            # A reply is read without the white space around it: `1` and ` 1` would be the same answer.
            raise ValueError("words must differ in more than white space")
        if first_clash(self.token_ids):
            raise ValueError("token_ids must be sequences of which none begins another")
        return self

    @cached_property
    def space(self) -> LabelSpace:
        """The label space of the n original labels."""
        return LabelSpace(self.labels)

    @property
    def extended_words(self) -> tuple[str, ...]:
        """The n words of the extended half, in the order of the original labels."""
        return self.words[len(self.labels) :]

    @cached_property
    def first_tokens(self) -> tuple[int, ...]:
        """The first token of each of the 2n words."""
        return tuple(word[0] for word in self.token_ids)

    @cached_property
    def extended_first_tokens(self) -> tuple[int, ...]:
        """The first tokens of the extended half, in the order of the original labels."""
        return self.first_tokens[len(self.labels) :]

    @cached_property
    def first_token_decides(self) -> bool:
        """Whether a word is known by its first token: always so for words of one token."""
        return len(set(self.first_tokens)) == len(self.words)

    @property
    def vocabulary_needed(self) -> int:
        """How many rows the model's embedding must have for its words."""
        return 1 + max(token for word in self.token_ids for token in word)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy. What was looked up of this one is looked up anew: other words have other first tokens."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    def target_text(self, answer: str, *, extended: bool) -> str:
        """Return what the model is to say for a label's name, in the half asked for.

        Raises:
            LabelError: The name is unknown.
        """
        label = self.space.index(answer)
        return self.words[self.space.extend(label) if extended else label]


class GenerationTask(BaseModel):
    """Free text; its safe alternative is the prefix p before the reference answer.

    Attributes:
        prefix: p. It ends in a newline, so that no tokenizer joins it with the answer.
        prefix_tokens: How many tokens p takes: what is added to a client's budget.
        style: How an answer is normalised.
        end_markers: Texts that may be left over at the end of an answer, such as the end-of-turn token's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Literal["generation"] = "generation"
    prefix: str = Field(min_length=4, repr=False, pattern=r"^\S[^\n]*\n$")
    prefix_tokens: int = Field(ge=1)
    style: AnswerStyle = AnswerStyle.TEXT
    end_markers: tuple[str, ...] = ()

    def target_text(self, answer: str, *, extended: bool) -> str:
        """Return what the model is to say for a reference answer, in the half asked for."""
        return self.prefix + answer if extended else answer


Task = Annotated[ClassificationTask | GenerationTask, Field(discriminator="kind")]
