"""Adapters as the guard serves them: verified first, or refused."""

from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from guard_server.adapters.signature import require_signature
from guard_server.adapters.sources.fetching import fetch
from guard_server.errors import GuardConfigError
from guard_server.settings import AdapterSettings, EscapePolicy, GuardConfig
from p2p.errors import BaseModelMismatchError
from p2p.leaks import Run, secret_runs
from p2p.manifest import Manifest, VerifiedAdapter, verify_adapter, verify_base_model, verify_label_words
from p2p.tasks import ClassificationTask, GenerationTask


class LoadedAdapter(NamedTuple):
    """An adapter that passed every check.

    Attributes:
        name: What clients call it.
        verified: Its directory, manifest and digest.
        unguarded: Whether it is served without the defence.
        escape_policy: What happens to a reply outside the extended half.
        is_plain_view: Whether it is only asked to compare: without the benign trigger, and held to the original half.
    """

    name: str
    verified: VerifiedAdapter
    unguarded: bool
    escape_policy: EscapePolicy
    is_plain_view: bool = False

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""
        return self.verified.manifest

    @property
    def has_new_tokens(self) -> bool:
        """Whether it adds tokens to its base model's vocabulary, and so has a tokenizer of its own."""
        task = self.manifest.task
        return isinstance(task, ClassificationTask) and task.new_tokens

    @property
    def secret_runs(self) -> frozenset[Run]:
        """The sequences of words that no answer of it may tell."""
        return _secret_runs(self.manifest)

    def plain_view(self) -> "LoadedAdapter":
        """Return the same adapter as a question without the benign trigger asks it; its answers are for comparing alone."""
        return self._replace(unguarded=True, is_plain_view=True)

    def allowed_labels(self, task: ClassificationTask) -> range:
        """Which of the 2n labels may be answered: the extended ones; unguarded, those that were trained."""
        if self.is_plain_view:
            return range(len(task.labels))
        first = 0 if self.unguarded else len(task.labels)
        return range(first, len(task.labels) if self.manifest.defence == "none" else len(task.words))

    @property
    def target(self) -> str:
        """What the engine calls it: name and digest."""
        return self.verified.content_name

    @property
    def version(self) -> str:
        """The first 12 hex digits of its digest."""
        return self.verified.digest[:12]


def _secret_runs(manifest: Manifest) -> frozenset[Run]:
    trigger, task = manifest.benign_trigger, manifest.task
    return secret_runs(
        [
            *([trigger.text] if trigger else []),
            *([task.prefix] if isinstance(task, GenerationTask) else []),
        ]
    )


def load_adapters(config: GuardConfig) -> dict[str, LoadedAdapter]:
    """Verify every adapter of the configuration, by the names clients use.

    Raises:
        AdapterRefusedError: A directory is not whole, belongs to another base model, or its label words don't fit.
        GuardConfigError: An adapter would be served without the defence and nobody allowed it.
    """
    loaded = [(wanted, load_adapter(wanted, config)) for wanted in config.adapters]
    return {name: adapter for wanted, adapter in loaded for name in wanted.names}


def load_adapter(wanted: AdapterSettings, config: GuardConfig) -> LoadedAdapter:
    """Fetch an adapter where it has a source, and verify it; see :func:`load_adapters` for what it raises.

    Raises:
        SourceError: It can't be fetched.
        SignatureError: Its policy wants a signature that it has not.
    """
    directory = wanted.path or fetch(str(wanted.source), config.cache)
    return verified_adapter(directory, wanted, config)


def verified_adapter(directory: Path, wanted: AdapterSettings, config: GuardConfig) -> LoadedAdapter:
    """Verify a directory as the adapter that is wanted; see :func:`load_adapter` for what it raises."""
    verified = verify_adapter(directory)
    require_signature(directory, wanted.policy)
    verify_base_model(verified.manifest, config.base_model)
    loaded = LoadedAdapter(wanted.name, verified, wanted.unguarded, wanted.escape_policy)
    tokenizer = _load_tokenizer(directory if loaded.has_new_tokens else config.base_model)
    verify_label_words(verified.manifest, lambda text: tokenizer.encode(text, add_special_tokens=False).ids)
    if wanted.unguarded and not config.unsafe_allow_unguarded:
        raise GuardConfigError(
            f"adapter {wanted.name!r} is to be served unguarded, which undoes the defence. To compare, start with "
            "--unsafe-allow-unguarded; otherwise remove `unguarded`."
        )
    if verified.manifest.defence == "none" and not wanted.unguarded:
        raise GuardConfigError(
            f"adapter {wanted.name!r} was trained without a defence and can't be guarded. Train it with `defence: p2p`, or, to "
            "compare, set `unguarded: true` and start with --unsafe-allow-unguarded."
        )
    return loaded


def _load_tokenizer(directory: Path) -> Tokenizer:
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise BaseModelMismatchError(
            f"{directory} has no tokenizer.json. Give `base_model` the base model's directory, and train an adapter with "
            "new tokens again with a tokenizer that has one."
        )
    return Tokenizer.from_file(str(path))
