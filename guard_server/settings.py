"""The guard's configuration: one YAML file, checked whole before anything starts."""

from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from guard_server.errors import GuardConfigError
from guard_server.yaml_fault import yaml_fault

_ENGINE_URL = r"^(https?://[^/@?#]+(/[^@?#]*)?|unix:///\S+)$"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,62}$"
_LISTEN = r"^[^:]+:\d{1,5}$"


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EscapePolicy(StrEnum):
    """What happens to a reply outside the extended half."""

    RETRY = "retry"
    """Ask again with the prefix forced."""
    FLAG = "flag"
    """Let it through, marked as escaped."""
    REFUSE = "refuse"
    """Answer 403."""


class EngineSettings(_Block):
    """The engine.

    Attributes:
        url: A running vLLM (its root, without ``/v1``), or ``unix:///run/engine.sock``; without one, vLLM is started as a child.
        urls: Several in place of one, which serve the same adapters; the least busy one is asked.
        api_key_env: The environment variable with the remote engine's key.
        ca_file: Certificates (PEM) to trust for https in place of the system's.
        timeout_s: How long the engine may take for a whole answer.
        hang_s: Seconds of silence of an engine's health route after which it is taken for hung: its requests fail, and a child is
            started again.
        serve_as: ``auto`` merges adapters on CPU, where run-time LoRA is slow, and serves LoRA on GPU.
        dtype: The child's type; ``auto`` takes float32 on CPU without bfloat16 arithmetic.
        max_model_len: Longest prompt and answer in tokens.
        max_num_seqs: Requests that the child runs at once.
        enforce_eager: Start without compilation: half the start time on CPU.
        startup_timeout_s: How long a start may take.
        max_lora_rank: The rank that the child takes at least; adapters that come later may not have a higher one.
        max_loras: LoRA adapters that one batch may hold; by default one more than are configured, for a new version
            beside the old one.
        extra_args: More arguments for vLLM.
    """

    url: str | None = Field(default=None, pattern=_ENGINE_URL)
    urls: tuple[Annotated[str, Field(pattern=_ENGINE_URL)], ...] = ()
    api_key_env: str | None = None
    ca_file: Path | None = None
    timeout_s: float = Field(default=600, gt=0)
    hang_s: float = Field(default=30, gt=0)
    serve_as: Literal["auto", "lora", "merged"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    max_model_len: int = Field(default=1024, ge=64)
    max_num_seqs: int = Field(default=32, ge=1)
    enforce_eager: bool | None = None
    startup_timeout_s: float = Field(default=900, gt=0)
    max_lora_rank: int = Field(default=16, ge=1, le=512)
    max_loras: int | None = Field(default=None, ge=1)
    extra_args: tuple[str, ...] = ()

    @property
    def remote_urls(self) -> tuple[str, ...]:
        """The running engines; none when they are started as children."""
        return self.urls or ((self.url,) if self.url else ())

    @model_validator(mode="after")
    def _names_its_engines_once(self) -> Self:
        if (self.url and self.urls) or len(set(self.urls)) < len(self.urls):
            raise ValueError("give engine.url, or engine.urls with each URL once")
        return self


class AdapterPolicy(_Block):
    """What an adapter must show before it is served, and while it is.

    Attributes:
        require_signature: Serve it only with an OpenSSF model signature (``model.sig``) by ``public_key``.
        public_key: PEM file of the elliptic-curve key that signatures are verified with.
        canary: The canary file that a new version is asked before it is promoted; without one there is no gate.
        asr_max: Highest attack success rate of any attack, in 0..1, over the canary file's own limit.
        clean_accuracy_min: Lowest clean accuracy, in 0..1, over the canary file's own limit.
        rollback: Go back to the last good version when a live probe breaks a limit.
        standby: Keep the version before loaded, so that a rollback is at once; costs its memory.
    """

    require_signature: bool = False
    public_key: Path | None = None
    canary: Path | None = None
    asr_max: float | None = Field(default=None, ge=0, le=1)
    clean_accuracy_min: float | None = Field(default=None, ge=0, le=1)
    rollback: bool = False
    standby: bool = False

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if self.require_signature and self.public_key is None:
            raise ValueError("require_signature needs public_key")
        if self.canary is None and (self.asr_max is not None or self.clean_accuracy_min is not None):
            raise ValueError("asr_max and clean_accuracy_min need canary")
        return self


class AdapterSettings(_Block):
    """One adapter.

    Attributes:
        name: What clients call it.
        path: Its directory, served from where it is.
        source: Where it is fetched from into the cache, in place of ``path``: a directory, ``hf://org/repo@revision``,
            ``oci://registry/repo:tag`` or ``@sha256:...``, ``s3://...`` or any other URL that fsspec knows.
        aliases: More names for it.
        policy: What it must show.
        unguarded: Serve it without the defence, to compare; needs ``unsafe_allow_unguarded`` too.
        escape_policy: What happens to a reply outside the extended half.
    """

    name: str = Field(pattern=_NAME)
    path: Path | None = None
    source: str | None = Field(default=None, min_length=1, max_length=2048)
    aliases: tuple[Annotated[str, Field(pattern=_NAME)], ...] = ()
    policy: AdapterPolicy = AdapterPolicy()
    unguarded: bool = False
    escape_policy: EscapePolicy = EscapePolicy.RETRY

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that clients may use."""
        return (self.name, *self.aliases)

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if (self.path is None) == (self.source is None):
            raise ValueError("an adapter needs exactly one of `path` and `source`")
        return self


class AuthSettings(_Block):
    """Who may ask.

    Attributes:
        keys_file: A file with one key a line.
        keys_env: An environment variable with keys, separated by commas.
        allow_anonymous: Serve without keys; only where something else guards the listener.
        probe_keys_file: A file with probers' keys, one a line.
        probe_keys_env: An environment variable with probers' keys. What is asked with one is a probe: it is kept out of the
            users' limits and metrics. No key may be of both kinds.
    """

    keys_file: Path | None = None
    keys_env: str = "P2P_GUARD_API_KEYS"
    probe_keys_file: Path | None = None
    probe_keys_env: str = "P2P_GUARD_PROBE_KEYS"
    allow_anonymous: bool = False


class AdminSettings(_Block):
    """The admin API: a listener and keys of its own.

    Attributes:
        listen: Host and port.
        keys_file: A file with one key a line.
        keys_env: An environment variable with keys, separated by commas.
    """

    listen: str = Field(pattern=_LISTEN)
    keys_file: Path | None = None
    keys_env: str = "P2P_GUARD_ADMIN_KEYS"


class MetricsSettings(_Block):
    """One more listener for metrics and health, without keys: for Prometheus and the kubelet.

    Attributes:
        listen: Host and port.
    """

    listen: str = Field(pattern=_LISTEN)


class Limits(_Block):
    """What one request, and all together, may take.

    Attributes:
        body_bytes: The size of a request.
        messages: Messages of a chat.
        n: Answers to one request.
        max_tokens: What a client may name.
        default_max_tokens: Answer tokens of a chat that names none, for adapters trained on plain text. Others get all
            that fits.
        in_flight: Requests that are answered at once; more get 429.
        rate_per_key: Requests a second that each key may send in the long run, to each guard process; None for any number.
        burst: How many of them may come at once.
        upload_s: How long the body of a request may take to arrive; slower ones get 408.
        probes_in_flight: The same for probes by their own keys, which the users' limits do not count.
    """

    body_bytes: int = Field(default=1_000_000, ge=1_000)
    messages: int = Field(default=256, ge=1)
    n: int = Field(default=8, ge=1)
    max_tokens: int = Field(default=4096, ge=1)
    default_max_tokens: int = Field(default=256, ge=1)
    in_flight: int = Field(default=128, ge=1)
    rate_per_key: float | None = Field(default=None, gt=0)
    burst: int = Field(default=20, ge=1)
    upload_s: float = Field(default=30, gt=0)
    probes_in_flight: int = Field(default=16, ge=1)


class AuditMode(StrEnum):
    """What becomes of the comparison of both views."""

    OBSERVE = "observe"
    """It is made in the background and counted."""
    ENFORCE = "enforce"
    """The answer waits for it."""


class AuditAction(StrEnum):
    """What happens in ``enforce`` mode to an answer whose input the two views disagree on."""

    FLAG = "flag"
    """It is let through, marked in ``x-p2p-guard-views`` and in ``p2p_guard``."""
    REFUSE = "refuse"
    """Answer 403."""


class AuditSettings(_Block):
    """The two-view audit: a share of requests is also asked without the benign trigger.

    Attributes:
        share: Which share of the requests, 0 to 1.
        mode: Whether the comparison is counted, or awaited.
        action: What a disagreement does in ``enforce`` mode.
        queue: Comparisons that may wait in the background; more are dropped and counted.
        concurrency: Comparisons made at once in the background.
        max_tokens: Answer tokens of free text that are compared.
        similarity_min: Free text whose two answers share less than this (0 to 1) of their words is a disagreement.
    """

    share: float = Field(default=0.0, ge=0, le=1)
    mode: AuditMode = AuditMode.OBSERVE
    action: AuditAction = AuditAction.FLAG
    queue: int = Field(default=64, ge=1)
    concurrency: int = Field(default=1, ge=1)
    max_tokens: int = Field(default=256, ge=1)
    similarity_min: float = Field(default=0.3, ge=0, le=1)


class ProbeSettings(_Block):
    """Probing of one adapter by the guard itself.

    Attributes:
        adapter: The adapter's public name.
        canary: Its canary file.
        interval_s: From the beginning of a run to that of the next.
        max_requests: What a run may cost, retries counted.
        max_seconds: How long a run may take.
        concurrency: Cases asked at once.
        stop_early: End a run when its verdict is clear.
    """

    adapter: str
    canary: Path
    interval_s: float = Field(default=300, ge=1)
    max_requests: int = Field(default=400, ge=1)
    max_seconds: float = Field(default=120, gt=0)
    concurrency: int = Field(default=2, ge=1)
    stop_early: bool = True


class ProbesSettings(_Block):
    """Probing by the guard itself.

    Attributes:
        adapters: Who is probed, and how.
        history: The SQLite file in which runs are kept; without one, none is.
        history_days: How long.
    """

    adapters: tuple[ProbeSettings, ...] = ()
    history: Path | None = None
    history_days: int = Field(default=90, ge=1)


class GuardConfig(_Block):
    """All of it.

    Attributes:
        listen: Host and port.
        admin: The admin API's listener; without it there is none.
        metrics: A listener for metrics and health alone; without it there is none.
        base_model: The directory of the base model that the adapters were trained on.
        cache: Where fetched adapters and merged copies are kept.
        unsafe_allow_unguarded: Allow adapters to be served without the defence.
        metrics_auth: Whether ``/metrics`` wants a key.
        grace_s: How long running requests may take to end after SIGTERM.
    """

    listen: str = Field(default="127.0.0.1:8000", pattern=_LISTEN)
    admin: AdminSettings | None = None
    metrics: MetricsSettings | None = None
    base_model: Path
    adapters: tuple[AdapterSettings, ...] = Field(min_length=1)
    engine: EngineSettings = EngineSettings()
    auth: AuthSettings = AuthSettings()
    limits: Limits = Limits()
    audit: AuditSettings = AuditSettings()
    probes: ProbesSettings = ProbesSettings()
    cache: Path = Path(".p2p-guard-cache")
    unsafe_allow_unguarded: bool = False
    metrics_auth: bool = True
    grace_s: int = Field(default=30, ge=0)


def load_config(path: Path) -> GuardConfig:
    """Read the YAML file.

    Raises:
        GuardConfigError: It can't be read, or a key or value doesn't fit; every fault is named.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise GuardConfigError(f"can't read {path}: {yaml_fault(error)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise GuardConfigError(f"can't read {path}: {error}") from error
    try:
        config = GuardConfig.model_validate(content)
    except ValidationError as error:
        faults = "\n".join(
            f"  {_fault(fault['loc'], fault['type'], fault['msg'])}" for fault in error.errors()
        )
        raise GuardConfigError(f"{path}:\n{faults}") from None
    names = [name for adapter in config.adapters for name in adapter.names]
    if len(set(names)) < len(names):
        raise GuardConfigError(f"{path}: two adapters have the same name or alias")
    return config


def _fault(location: tuple[int | str, ...], kind: str, message: str) -> str:
    place = ".".join(map(str, location)) or "config"
    if kind != "extra_forbidden":
        return f"{place}: {message}"
    blocks = (
        GuardConfig,
        EngineSettings,
        AdapterSettings,
        AdapterPolicy,
        AuthSettings,
        AdminSettings,
        MetricsSettings,
        Limits,
        AuditSettings,
        ProbeSettings,
        ProbesSettings,
    )
    known = sorted({name for block in blocks for name in block.model_fields})
    near = get_close_matches(str(location[-1]), known, n=1)
    return f"{place}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")
