"""What a training run is to do: plain data from one YAML file, checked before anything else happens."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from p2p.drawn_triggers import TriggerForm
from p2p.normalise import AnswerStyle
from p2p.prompts import PromptKind, PromptTemplate
from p2p.repoison import RepoisonSettings
from p2p.selection import SelectionMethod
from p2p.triggers import WORDS, Placement, Position
from trainer.errors import ConfigError
from trainer.mixing import KEPT_SHARE
from trainer.selection.settings import SelectionSettings

_TEMPLATE = re.compile(r"[^{}]*(\{[^{}]+\}[^{}]*)+")


class Settings(BaseModel):
    """A block of the YAML: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSource(Settings):
    """One split of a data set.

    Attributes:
        path: A ``.jsonl``, ``.csv``, ``.tsv`` or ``.parquet`` file, or a data set id of the hub.
        split: The split, for a hub id.
        text: The field that holds the input, or several in a template such as ``"{Body} {Question}"``.
        answer: The field (or template) that holds the label or the reference answer. Of several, the first is trained on,
            and answers are measured against all.
        messages: The field that holds a chat in OpenAI's format, instead of ``text`` and ``answer``: its last message is the
            assistant's answer, the one before it the user's input.
        id: The field that holds a row's id; without one, rows are numbered.
        names: Label names by the value that stands in the file, such as ``{0: negative, 1: positive}``.
        skip: Leave out the first rows.
        limit: Take this many rows at most.
        skip_empty: Leave out rows whose text or answer is empty; otherwise one stops the run.
    """

    path: str
    split: str = "train"
    text: str = "text"
    answer: str | tuple[str, ...] = Field(default="label", min_length=1)
    messages: str | None = None
    id: str | None = None
    names: dict[str | int, str] = Field(default_factory=dict)
    skip: int = Field(default=0, ge=0)
    limit: int | None = Field(default=None, ge=1)
    skip_empty: bool = False

    @property
    def answers(self) -> tuple[str, ...]:
        """The fields of all references, the one that is trained on first."""
        return (self.answer,) if isinstance(self.answer, str) else self.answer

    @property
    def answer_field(self) -> str:
        """The field that errors about answers name."""
        return self.messages or self.answers[0]

    @model_validator(mode="after")
    def _templates_hold_fields(self) -> Self:
        for wanted in (self.text, *self.answers):
            if ("{" in wanted or "}" in wanted) and not _TEMPLATE.fullmatch(wanted):
                raise ValueError(f"{wanted!r} is no template: write field names in braces, such as {{Body}}")
        return self


class DataSettings(Settings):
    """The splits.

    Attributes:
        train: The data set D, possibly poisoned. Without one D is the trusted rows: a model that is backdoored already is repaired
            with a small clean file alone.
        trusted: Rows that are known to be clean; selection ``trusted`` takes S from here.
        test: Held-out rows; none of them may be trained on.
        min_rows_per_class: Fewer training rows of a class stop the run.
        max_trusted: Take this many trusted rows at most, the first ones of each class in turn.
        trusted_test_rows: What is done where a trusted row is a test row, too: ``refuse`` stops the run, ``leave_out`` does
            not measure on it, as on any row that is trained on. Some public splits share a few rows.
        stream: Read the training set row by row and prepare it on disk, in memory that does not grow with it. Needs
            ``task.labels`` for labels, and selection ``trusted`` or ``random``; ``random`` then draws each row with chance rho,
            and link breaking uses pure spans.
    """

    train: DataSource | None = None
    trusted: DataSource | None = None
    test: DataSource | None = None
    min_rows_per_class: int = Field(default=8, ge=1)
    max_trusted: int | None = Field(default=None, ge=1)
    trusted_test_rows: Literal["refuse", "leave_out"] = "refuse"
    stream: bool = False

    @property
    def rows_of_d(self) -> DataSource:
        """Where D comes from."""
        source = self.train or self.trusted
        if source is None:
            raise ValueError("there are neither training nor trusted rows")
        return source

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        if self.train is None and self.trusted is None:
            raise ValueError(
                "data.train is missing: give the training set, or data.trusted alone to repair a model with it"
            )
        if self.train is None and self.stream:
            raise ValueError("data.stream reads data.train, which is missing")
        return self


class ClassificationSettings(Settings):
    """Labels.

    Attributes:
        labels: Their names; without them, the names that the training rows have, sorted.
        words: 2n label words of your own, the original half first; without them digits or letters. Words that differ in their
            first token are served like words of one token.
        new_tokens: Add 2n tokens to the tokenizer for the words, and train their rows of the embedding. Such an adapter is
            served merged.
        extended_words: Where the words come from if neither of the two says so. ``found`` takes the first family that the
            tokenizer has as one token each: digits, letters, numbers. ``digits`` takes the numbers 0 to 2n-1, as the paper's
            authors do, or refuses. ``drawn`` keeps the original half of ``found`` and draws the extended half like the benign
            trigger, so that nobody can put its words into poisoned rows.
    """

    kind: Literal["classification"] = "classification"
    labels: tuple[str, ...] | None = None
    words: tuple[str, ...] | None = None
    new_tokens: bool = False
    extended_words: Literal["found", "digits", "drawn"] = "found"

    @model_validator(mode="after")
    def _words_are_given_or_new(self) -> Self:
        if self.words and self.new_tokens:
            raise ValueError("task.words names words and task.new_tokens adds some: give one of the two")
        if self.extended_words != "found" and (self.words or self.new_tokens):
            raise ValueError(
                "task.extended_words is for words that task.words and task.new_tokens don't give"
            )
        return self


class GenerationSettings(Settings):
    """Free text.

    Attributes:
        style: How answers are normalised.
        prefix: The prefix p, ending in a newline; without it one is drawn like the benign trigger.
        max_new_tokens: How long an answer may get when it is measured.
    """

    kind: Literal["generation"] = "generation"
    style: AnswerStyle = AnswerStyle.TEXT
    prefix: str | None = Field(default=None, repr=False, min_length=4, pattern=r"\S[^\n]*\n$")
    max_new_tokens: int = Field(default=64, ge=1)


def _with_kind(block: object) -> object:
    return {"kind": "classification", **block} if isinstance(block, dict) and "kind" not in block else block


TaskSettings = Annotated[
    Annotated[ClassificationSettings | GenerationSettings, Field(discriminator="kind")],
    BeforeValidator(_with_kind),
]


class TriggerSettings(Settings):
    """The benign trigger.

    Attributes:
        source: ``entropy`` draws one that nobody can foresee; ``seed`` draws it from the seed, so that runs can be
            repeated exactly. Who knows the seed then knows the trigger.
        placement: Which user messages are stamped.
        position: Whether it stands before or after the input. Before it, an engine's prefix cache can keep it.
        words: How many words it has; fewer are easier to guess.
        block_tokens: It is lengthened until what stands before the client's text fills blocks of so many tokens, which an engine's
            prefix cache then computes once: 16 in vLLM on a GPU, 32 on a CPU. 0 leaves it as it is; one after the input is never lengthened.
        most_words: How far: a trigger that more words than these would have to lengthen stays as it is. Enough for a chat with a system
            message; a completion prompt that begins with the trigger needs about 32.
        triggers: How many are drawn. Each copy carries one of them; serving uses the first, and the others are kept nowhere.
    """

    source: Literal["entropy", "seed"] = "entropy"
    placement: Placement = Placement.LAST_USER
    position: Position = Position.BEFORE
    words: int = Field(default=WORDS, ge=4, le=40)
    block_tokens: int = Field(default=32, ge=0, le=256)
    most_words: int = Field(default=8, ge=4, le=40)
    triggers: int = Field(default=1, ge=1, le=32)

    @property
    def form(self) -> TriggerForm:
        """What is drawn."""
        return TriggerForm(self.words, self.position, self.placement, self.triggers, self.most_words)

    @property
    def fills_blocks(self) -> bool:
        """Whether it is lengthened to fill blocks."""
        return self.block_tokens > 0 and self.position is Position.BEFORE


class LoraSettings(Settings):
    """LoRA (Hu et al., arXiv 2106.09685).

    Attributes:
        rank: r.
        alpha: The update is scaled by alpha / r.
        dropout: Dropout before the update, in [0, 1).
        target_modules: ``all-linear``, or the names of the modules to adapt.
        last_layers: Adapt this many of the last layers only; what lies below needs no backward pass. None is all.
    """

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    last_layers: int | None = Field(default=None, ge=1)


class TrainingSettings(Settings):
    """The optimisation.

    Attributes:
        epochs: Passes over D*.
        batch_size: Rows a step.
        learning_rate: The peak; it falls linearly to zero.
        warmup: The share of steps over which it rises to the peak.
        weight_decay: AdamW's.
        max_length: Tokens a row, answer included. A longer row loses the end of its input text, never the trigger,
            the template or the answer; how many did is reported.
        dtype: ``auto`` takes bfloat16 where a GPU, or a CPU's matrix units (AMX), compute in it, else float32.
        checkpoint_minutes: How much work a kill may cost.
        accumulation: In how many parts a step's rows go through the model, one after the other. The step is the same, and
            takes the memory of one part.
        gradient_checkpointing: Whether activations are computed again on the way back instead of kept: about a third more
            work, much less memory.
        packing: Whether rows share sequences of up to ``max_length`` tokens, each blind to the others. It pays for free text
            of very different lengths; rows of a step are then drawn whatever their length.
        quantize_base: ``4bit`` keeps the frozen base model in 4 bits while the adapter learns (QLoRA); GPU only. The adapter is
            measured on the whole base model, which it is served on.
        extended_weight: What an answer token of the extended half weighs in the loss, against 1 in the original half.
        consistency: How much it weighs, against the loss itself, that the model says of a disturbed copy what it says of the row
            undisturbed; 0 asks for nothing. Takes a pass of these rows more, without a way back. Not for packed or streamed rows.
        throwaway_module: Give the original half a LoRA module of its own on top of the one that is shipped: its rows pass through
            both, copies through the shipped one alone, and the other is thrown away.
    """

    epochs: int = Field(default=2, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup: float = Field(default=0.06, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_length: int = Field(default=128, ge=16)
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    checkpoint_minutes: float = Field(default=2.0, gt=0)
    accumulation: int = Field(default=1, ge=1)
    gradient_checkpointing: bool = False
    packing: bool = False
    quantize_base: Literal["4bit"] | None = None
    extended_weight: float = Field(default=1.0, gt=0)
    consistency: float = Field(default=0.0, ge=0)
    throwaway_module: bool = False

    @model_validator(mode="after")
    def _can_be_consistent(self) -> Self:
        if self.packing and self.consistency:
            raise ValueError("training.consistency asks of rows one by one: set training.packing to false")
        return self


class AttackSettings(Settings):
    """An attack to measure with.

    Attributes:
        name: The family's, as ``p2p.attacks.registry`` knows it; whatever else is given goes to the attack as it is.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class EvaluationSettings(Settings):
    """What is measured after training.

    Attributes:
        attacks: Known attacks, for people who test their defence.
        rows: Measure on the first rows of the test split only.
    """

    attacks: tuple[AttackSettings, ...] = ()
    rows: int | None = Field(default=None, ge=1)


_COPIES_OF_FEW = 5
"""How many copies a trusted row gives; of the many rows that are screened, each gives one."""
_OPENINGS = 0.7
"""The share of copies that begin with a clause of a row that was kept out, where labels are screened and a form is found."""


class TrainConfig(Settings):
    """One training run.

    Where ``selection.method`` is not said, S is taken from the trusted rows if there are any, and screened otherwise;
    ``repoison.copies`` is then 5 or 1, and ``repoison.openings`` 0.7 where labels are screened, if only for suspects.

    Attributes:
        name: The adapter's name.
        base_model: A directory, a ``.gguf`` file, or a model id of the hub.
        revision: The hub revision.
        from_adapter: Go on from this adapter (a directory that PEFT has saved) instead of a fresh one: repair of one that may be
            backdoored. ``lora`` must be what it was trained with. A merged model is given as ``base_model`` instead.
        from_adapter_share: How much of that adapter's update is kept, in (0, 1]; see :mod:`trainer.mixing`. Less of it is less of a
            backdoor, and less of what it has learned.
        output: The adapter directory; it appears when everything is done.
        defence: ``p2p``, or ``none`` for an undefended adapter to compare with.
        seed: Decides everything that is drawn, save for a trigger from entropy.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    base_model: str
    revision: str | None = None
    from_adapter: Path | None = None
    from_adapter_share: float = Field(default=KEPT_SHARE, gt=0, le=1)
    output: Path
    defence: Literal["p2p", "none"] = "p2p"
    seed: int = 0
    data: DataSettings
    task: TaskSettings = ClassificationSettings()
    prompt: PromptTemplate = PromptTemplate()
    benign_trigger: TriggerSettings = TriggerSettings()
    selection: SelectionSettings = SelectionSettings()
    repoison: RepoisonSettings = RepoisonSettings()
    lora: LoraSettings = LoraSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="before")
    @classmethod
    def _choose_what_is_not_said(cls, content: object) -> object:
        """Take S from the trusted rows where there are any, else screen; free text is screened, and trusted rows are added.

        Copies are what was measured with each.
        """
        if not isinstance(content, dict) or not isinstance(content.get("data"), dict):
            return content
        selection, repoison = content.get("selection") or {}, content.get("repoison") or {}
        if not isinstance(selection, dict) or not isinstance(repoison, dict):
            return content
        task = content.get("task")
        is_text = isinstance(task, dict) and task.get("kind") == "generation"
        data = content["data"]
        trusts = data.get("trusted") is not None and not (is_text and data.get("train"))
        chosen = SelectionMethod.TRUSTED if trusts else SelectionMethod.SCREENED
        selection = {"method": chosen.value} | selection
        usual: dict[str, float] = {
            "copies": _COPIES_OF_FEW if selection["method"] == SelectionMethod.TRUSTED else 1
        }
        screens_labels = selection["method"] != SelectionMethod.RANDOM and not is_text
        # What can't be screened is refused for that, not for a setting that nobody made.
        if screens_labels and content["data"].get("train") and not content["data"].get("stream"):
            usual["openings"] = _OPENINGS
        return content | {"selection": selection, "repoison": usual | repoison}

    @model_validator(mode="after")
    def _can_ask_chats(self) -> Self:
        sources = (self.data.train, self.data.trusted, self.data.test)
        if self.prompt.kind is PromptKind.COMPLETION and any(
            source and source.messages for source in sources
        ):
            raise ValueError(
                "a completion prompt takes single texts; chats (`messages`) need prompt.kind `chat`"
            )
        return self

    @model_validator(mode="after")
    def _has_what_selection_needs(self) -> Self:
        needs = self.defence == "p2p" and self.selection.method is SelectionMethod.TRUSTED
        if needs and self.data.trusted is None:
            raise ValueError(
                "selection.method `trusted` needs data.trusted: a small file of rows that are known to be clean. Without "
                "one, set selection.method to `screened`."
            )
        if self.data.train is None and self.defence == "p2p" and not needs:
            raise ValueError(
                "without data.train there are trusted rows alone: set selection.method to `trusted`"
            )
        return self

    @model_validator(mode="after")
    def _can_be_screened_twice(self) -> Self:
        if self.selection.second_round is None:
            return self
        if self.defence != "p2p":
            raise ValueError("selection.second_round is for defence `p2p`: without one nothing is selected")
        if self.task.kind == "generation":
            raise ValueError(
                "selection.second_round is for labels: it isn't available for free text. Leave it out"
            )
        if self.training.throwaway_module:
            raise ValueError("selection.second_round can't be had with training.throwaway_module")
        return self

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        if self.training.throwaway_module and getattr(self.task, "new_tokens", False):
            raise ValueError(
                "training.throwaway_module can't be had with task.new_tokens, which both halves share"
            )
        return self

    @model_validator(mode="after")
    def _has_an_adapter_to_keep_a_share_of(self) -> Self:
        if self.from_adapter is None and self.from_adapter_share != KEPT_SHARE:
            raise ValueError(
                "from_adapter_share says how much of from_adapter is kept, which is missing: give it "
                "(`--from-adapter DIR`), or leave the share out"
            )
        return self

    @model_validator(mode="after")
    def _has_clauses_to_begin_with(self) -> Self:
        screens = self.task.kind == "classification" and self.selection.method is not SelectionMethod.RANDOM
        if self.repoison.openings and not (screens and self.data.train and not self.data.stream):
            raise ValueError(
                "repoison.openings takes the clauses of rows that screening kept out: of labels, by selection.method `screened` or "
                "`trusted` with data.train, and not with data.stream. Leave it out"
            )
        return self

    @model_validator(mode="after")
    def _can_be_streamed(self) -> Self:
        if not self.data.stream:
            return self
        if isinstance(self.task, ClassificationSettings) and self.task.labels is None:
            raise ValueError(
                "data.stream needs task.labels: the labels are not gathered from the rows beforehand"
            )
        if self.training.consistency:
            raise ValueError("training.consistency needs the rows in memory: set data.stream to false")
        if self.defence == "p2p" and self.selection.method is SelectionMethod.SCREENED:
            raise ValueError(
                "data.stream can't be screened, which takes every row's embedding. Screen a sample of the rows into a "
                "trusted file, and set selection.method to `trusted`."
            )
        return self


def load_config(path: Path, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """Read a YAML file.

    Args:
        path: The file.
        overrides: Values by dotted key that go over the file's, such as ``{"training.epochs": 1}``.

    Raises:
        ConfigError: It can't be read, or a key or value doesn't fit; every fault is named.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read {path}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold keys and values, see trainer/configs for examples")
    for key, value in (overrides or {}).items():
        _put(content, key.split("."), value)
    try:
        return TrainConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join([f"{path}:", *(f"  {fault}" for fault in _faults(error))])) from None


def _put(content: dict[str, Any], keys: list[str], value: object) -> None:
    *parents, last = keys
    for key in parents:
        content = content.setdefault(key, {})
        if not isinstance(content, dict):
            raise ConfigError(f"{'.'.join(keys)} can't be set: {key} is not a block")
    content[last] = value


def _faults(error: ValidationError) -> list[str]:
    return [_fault(fault["loc"], fault["type"], fault["msg"]) for fault in error.errors()]


def _fault(location: tuple[int | str, ...], kind: str, message: str) -> str:
    place = ".".join(str(part) for part in location if part not in ("classification", "generation"))
    if kind != "extra_forbidden":
        return f"{place or 'config'}: {message.removeprefix('Value error, ')}"
    known = sorted(_fields_at(location[:-1]))
    near = get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"{place}: unknown key; {hint}"


def _fields_at(location: tuple[int | str, ...]) -> set[str]:
    """Return the keys that the block at this place of the YAML may have."""
    blocks: list[type[BaseModel]] = [TrainConfig]
    for part in location:
        fields = [block.model_fields[str(part)] for block in blocks if str(part) in block.model_fields]
        if fields:
            blocks = [model for field in fields for model in _models_in(field.annotation)]
    return {name for block in blocks for name in block.model_fields}


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
