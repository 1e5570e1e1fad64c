"""The manifest of an adapter directory: what it is, what it was made from, and the digest of every file.

The trainer writes it last; the guard serves nothing whose manifest it has not verified. It holds secrets (the benign trigger
and the prefix), so it is readable by its owner alone.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from p2p.errors import (
    BaseModelMismatchError,
    DigestMismatchError,
    LabelWordsError,
    ManifestInvalidError,
    ManifestMissingError,
    ManifestTooNewError,
    VerbalizerError,
)
from p2p.prompts import PromptTemplate
from p2p.tasks import ClassificationTask, Task
from p2p.triggers import BenignTrigger
from p2p.verbalizer import Tokenize, verify_words

MANIFEST_NAME = "p2p_manifest.json"
SIGNATURE_NAME = "model.sig"
"""An OpenSSF model signature over all other files, the manifest too; it can't be in the manifest that it signs."""
SCHEMA_VERSION: Literal[3] = 3
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
_SHA256 = r"^[0-9a-f]{64}$"


class _Record(BaseModel):
    # A faulty value may be the benign trigger, or stand beside it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BaseModelRecord(_Record):
    """The model an adapter was trained on.

    Attributes:
        id: What the trainer loaded: a hub id, or the last part of a path.
        revision: The hub commit, where there is one.
        config_sha256: Digest of the model's ``config.json``.
        tokenizer_sha256: Digest over the tokenizer's files.
    """

    id: str
    revision: str | None = None
    config_sha256: str = Field(pattern=_SHA256)
    tokenizer_sha256: str = Field(pattern=_SHA256)


class Provenance(_Record):
    """What went into the adapter: numbers and digests, no training text.

    Attributes:
        data: File digests and row counts of each split.
        selection: How the re-poisoned rows were chosen.
        repoison: The re-poisoning report and its settings.
        training: Hyperparameters, seed, steps, and package versions; name and digest of the adapter that training went on from, if
            there was one.
    """

    data: dict[str, Any]
    selection: dict[str, Any] = Field(default_factory=dict)
    repoison: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any]


class Manifest(_Record):
    """All that serving needs to know of an adapter.

    Attributes:
        defence: ``p2p``, or ``none`` for an undefended adapter, which a guard serves for comparison only.
        benign_trigger: The secret; there exactly when the defence is.
        files: SHA-256 of every other file of the directory but a signature, by its name.
        evaluation: Figures with intervals, measured before the directory was published.
    """

    schema_version: Literal[3] = SCHEMA_VERSION
    p2p_guard_version: str
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    created: datetime
    defence: Literal["p2p", "none"]
    task: Task
    prompt: PromptTemplate
    benign_trigger: BenignTrigger | None = Field(default=None, repr=False)
    base_model: BaseModelRecord
    files: dict[str, str]
    provenance: Provenance
    evaluation: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _defended_means_triggered(self) -> Self:
        if (self.defence == "p2p") != (self.benign_trigger is not None):
            raise ValueError("an adapter has a benign trigger exactly when its defence is p2p")
        return self


class VerifiedAdapter(NamedTuple):
    """An adapter directory whose files are the ones that the manifest names.

    Attributes:
        path: The directory.
        manifest: Its manifest.
        digest: SHA-256 of the manifest's bytes, which stands for every file: the adapter's identity.
    """

    path: Path
    manifest: Manifest
    digest: str

    @property
    def content_name(self) -> str:
        """``name@<12 hex>``: what the engine calls this very content."""
        return f"{self.manifest.name}@{self.digest[:12]}"


def sha256_file(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def digest_files(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a directory but the manifest and its signature, by its relative path."""
    return {
        path.relative_to(directory).as_posix(): sha256_file(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path not in {directory / MANIFEST_NAME, directory / SIGNATURE_NAME}
    }


def record_base_model(directory: Path, model_id: str, revision: str | None = None) -> BaseModelRecord:
    """Take the digests of a base model on disk.

    Raises:
        BaseModelMismatchError: The directory has no ``config.json`` or no tokenizer file.
    """
    config = directory / "config.json"
    tokenizer = [directory / name for name in _TOKENIZER_FILES if (directory / name).is_file()]
    if not config.is_file() or not tokenizer:
        raise BaseModelMismatchError(
            f"{directory} holds no model: expected config.json and tokenizer files. Give the base model's directory."
        )
    return BaseModelRecord(
        id=model_id,
        revision=revision,
        config_sha256=sha256_file(config),
        tokenizer_sha256=_digest_together(tokenizer),
    )


def write_manifest(manifest: Manifest, directory: Path) -> Path:
    """Write the manifest, readable by its owner alone. Call this last: its presence means that the rest is there."""
    path = directory / MANIFEST_NAME
    path.touch(mode=0o600)
    # A file that was there before has a mode of its own.
    path.chmod(0o600)
    path.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return path


def read_manifest(directory: Path) -> Manifest:
    """Read a manifest without looking at the other files.

    Raises:
        ManifestMissingError: There is none.
        ManifestTooNewError: A later version wrote it.
        ManifestInvalidError: It doesn't parse, or contradicts itself.
    """
    return _parse(_manifest_bytes(directory), directory)


def verify_adapter(directory: Path) -> VerifiedAdapter:
    """Read the manifest and check every file against it.

    Raises:
        AdapterRefusedError: One of its leaves, which says what is wrong and what to do.
    """
    content = _manifest_bytes(directory)
    manifest = _parse(content, directory)
    _require_same_files(directory, manifest.files, digest_files(directory))
    return VerifiedAdapter(directory, manifest, hashlib.sha256(content).hexdigest())


def verify_base_model(manifest: Manifest, base_model: Path) -> None:
    """Check that a base model on disk is the one that the adapter was trained on.

    Raises:
        BaseModelMismatchError: Its config or its tokenizer is another.
    """
    wanted = manifest.base_model
    found = record_base_model(base_model, wanted.id)
    for part, is_same in (
        ("config", found.config_sha256 == wanted.config_sha256),
        ("tokenizer", found.tokenizer_sha256 == wanted.tokenizer_sha256),
    ):
        if not is_same:
            raise BaseModelMismatchError(
                f"adapter {manifest.name!r} was trained on {wanted.id!r}, whose {part} differs from that of {base_model}. "
                "Serve it with the base model it was trained on, or train it again on this one."
            )


def verify_label_words(manifest: Manifest, tokenize: Tokenize) -> None:
    """Check that each label word is the tokens that the manifest says, for the tokenizer at hand.

    Args:
        manifest: The adapter's.
        tokenize: The base model's tokenizer, or the adapter's own where its task has new tokens.

    Raises:
        LabelWordsError: Words collide, split, or are other tokens.
    """
    task = manifest.task
    if not isinstance(task, ClassificationTask):
        return
    try:
        found = verify_words(tokenize, task.answer_context, task.words)
    except VerbalizerError as error:
        raise LabelWordsError(
            f"adapter {manifest.name!r}: {error}. Train it again for this tokenizer."
        ) from error
    if found.token_ids != task.token_ids:
        raise LabelWordsError(
            f"adapter {manifest.name!r}: its label words are other tokens for this tokenizer. Train it again."
        )


def _manifest_bytes(directory: Path) -> bytes:
    try:
        return (directory / MANIFEST_NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ManifestMissingError(
            f"{directory} has no {MANIFEST_NAME}: not an adapter of `p2p-guard train`, or an incomplete copy. "
            "Copy the whole directory again, or train the adapter with `p2p-guard train`."
        ) from error
    except OSError as error:
        raise ManifestInvalidError(
            f"{directory / MANIFEST_NAME} can't be read ({error.strerror}). Only its owner can read it, because it holds "
            "secrets: serve as that user, or give the directory to the user who serves."
        ) from error


def _parse(content: bytes, directory: Path) -> Manifest:
    try:
        raw = json.loads(content)
    except ValueError as error:
        raise ManifestInvalidError(
            f"{directory / MANIFEST_NAME} is not JSON. Copy the directory again."
        ) from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ManifestTooNewError(
            f"{directory / MANIFEST_NAME} has schema version {version}, this p2p-guard understands up to "
            f"{SCHEMA_VERSION}. Update p2p-guard."
        )
    try:
        return Manifest.model_validate_json(json.dumps(_migrated(raw)))
    except ValidationError as error:
        # Only places, never values: a value may be the benign trigger.
        places = ", ".join(
            sorted({".".join(map(str, fault["loc"])) or "manifest" for fault in error.errors()})
        )
        raise ManifestInvalidError(
            f"{directory / MANIFEST_NAME} is not a valid manifest (see {places}). Copy the directory again."
        ) from None


def _migrated(raw: object) -> object:
    """Return a manifest of an earlier schema as one of this one.

    Schema 1 had one token a label word, written as a bare number, and no new tokens; schemas 1 and 2 had benign triggers
    before the input alone.
    """
    if not isinstance(raw, dict) or raw.get("schema_version", 1) not in (1, 2):
        return raw
    task = raw.get("task")
    if (
        raw.get("schema_version", 1) == 1
        and isinstance(task, dict)
        and isinstance(task.get("token_ids"), list)
    ):
        task = task | {"token_ids": [[token] for token in task["token_ids"]]}
    return raw | {"schema_version": SCHEMA_VERSION, "task": task}


def _require_same_files(directory: Path, wanted: dict[str, str], found: dict[str, str]) -> None:
    for verb, names in (
        ("lacks", wanted.keys() - found.keys()),
        ("has unlisted", found.keys() - wanted.keys()),
        ("has changed", {name for name in wanted.keys() & found.keys() if wanted[name] != found[name]}),
    ):
        if names:
            raise DigestMismatchError(
                f"{directory} {verb} {_listed(names)}, by its manifest. Do not serve it: copy the directory again from "
                "where it was trained, and find out who changed it."
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _digest_together(files: Iterable[Path]) -> str:
    together = hashlib.sha256()
    for path in files:
        together.update(f"{path.name}\0{sha256_file(path)}\n".encode())
    return together.hexdigest()
