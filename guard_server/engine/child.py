"""vLLM as a supervised child: on a Unix socket in a private directory, restarted when it dies, gone when the guard goes."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from guard_server.engine.channel import Channel
from guard_server.errors import EngineUnavailableError, GuardConfigError
from guard_server.settings import EngineSettings

_log = structlog.get_logger()
_BACK_OFF_S = (1, 2, 5, 10, 30, 60)
_STOP_S = 15
_LONGEST_HOME = 64
"""A Unix socket's path has at most 107 bytes, and vLLM adds a UUID."""
CPU_BLOCKS = ("--block-size", "32")
"""What prompts begin with alike is computed once in whole blocks: these are the smallest that vLLM takes on a CPU (its own choice is 128 tokens,
more than most system messages have)."""


class ServedModel(NamedTuple):
    """What one child serves.

    Attributes:
        directory: The model: a merged copy, or the base model.
        names: The names it answers to, for a merged copy.
        lora: LoRA adapters by content name, for a base model; those loaded while it runs are added, so that it has them again
            after a restart.
        max_lora_rank: The highest rank that it takes.
        max_loras: How many of them one batch may hold; 0 for a model without LoRA.
    """

    directory: Path
    names: tuple[str, ...]
    lora: dict[str, Path]
    max_lora_rank: int = 16
    max_loras: int = 0

    @property
    def takes_lora(self) -> bool:
        """Whether LoRA adapters can be loaded onto it."""
        return bool(self.lora or self.max_loras)


class VllmChild:
    """One vLLM process.

    Args:
        model: What it serves.
        settings: How it is started.
        threads: CPU threads for it.
        on_gpu: Whether it runs on a GPU.

    Attributes:
        restarts: How often it was started again.
        is_up: Whether its health route answered since its last start.
    """

    def __init__(self, model: ServedModel, settings: EngineSettings, *, threads: int, on_gpu: bool) -> None:
        # mkdtemp makes it 0700: nobody but this user can reach the socket.
        self._home = tempfile.TemporaryDirectory(prefix="p2p-guard-")
        self.socket = Path(self._home.name) / "engine.sock"
        self.log_path = Path(self._home.name) / "engine.log"
        self.channel = Channel("http://engine", socket=self.socket, timeout_s=settings.timeout_s)
        self.restarts = 0
        self.is_up = False
        self._model = model
        self._settings = settings
        self._threads = threads
        self._on_gpu = on_gpu
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def model(self) -> ServedModel:
        """What it serves."""
        return self._model

    @property
    def pid(self) -> int | None:
        """The process id of the running child."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the process and watch over it."""
        await self._spawn()
        self._supervisor = asyncio.create_task(self._supervise())

    async def wait_until_up(self) -> None:
        """Wait until it answers its health route.

        Raises:
            GuardConfigError: It ended, or took longer than the settings allow.
        """
        try:
            async with asyncio.timeout(self._settings.startup_timeout_s):
                while not self.is_up:
                    if self.restarts:
                        raise GuardConfigError(
                            f"vLLM ended while it started. Its last lines:\n{self.log_tail()}"
                        )
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise GuardConfigError(
                f"vLLM did not start in {self._settings.startup_timeout_s:.0f} s (engine.startup_timeout_s)"
            ) from None

    async def stop(self) -> None:
        """End the process and all it started."""
        if self._supervisor:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        await self._end()
        await self.channel.cut()
        self._home.cleanup()

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines that vLLM wrote."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    async def _supervise(self) -> None:
        failures = 0
        while True:
            watcher = asyncio.create_task(self._watch_health())
            process = self._process
            try:
                code = await process.wait() if process else None
            finally:
                # When the supervision ends, too: the connections are closed next.
                watcher.cancel()
                await asyncio.gather(watcher, return_exceptions=True)
            failures = 0 if self.is_up else failures + 1
            self.is_up = False
            self.restarts += 1
            _log.error("engine_ended", exit_code=code, restarts=self.restarts)
            await self._end()
            await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
            try:
                await self._spawn()
            except OSError as error:
                # A full disk, or no memory for a process, may pass: it is tried again, as after any other end.
                self._process = None
                _log.error("engine_not_started", reason=error.strerror)

    async def _watch_health(self) -> None:
        """Follow the health route; end a process that was up and has been silent for too long, so that it is started again."""
        clock = asyncio.get_running_loop().time
        heard = None
        while True:
            try:
                reply = await self.channel.get("/health", timeout_s=min(5, self._settings.hang_s))
                self.is_up = reply.status == 200
                heard = clock()
            except EngineUnavailableError:
                self.is_up = False
            if heard is not None and not self.socket.exists():
                # Kept connections go on, its health route among them; new ones never come about again.
                _log.error("engine_socket_gone", pid=self.pid)
                self._kill()
                return
            if heard is not None and clock() - heard > self._settings.hang_s:
                _log.error("engine_hung", pid=self.pid)
                self._kill()
                return
            await asyncio.sleep(1 if self.is_up else 0.3)

    def _kill(self) -> None:
        """End the process at once, stopped or not; the supervision sees it go."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _spawn(self) -> None:
        self.socket.unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                # A group of its own: its engine process ends with it.
                start_new_session=True,
            )
        _log.info("engine_started", pid=self._process.pid, log=str(self.log_path))

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    def _command(self) -> Sequence[str]:
        settings, model = self._settings, self._model
        # `-m` and not the `vllm` script, which looks for the metadata of a distribution that the CPU build is not.
        command = [sys.executable, "-m", "guard_server.engine.launch", "--model", str(model.directory)]
        command += [
            "--uds",
            str(self.socket),
            "--generation-config",
            "vllm",
            "--uvicorn-log-level",
            "warning",
        ]
        command += [
            "--max-model-len",
            str(settings.max_model_len),
            "--max-num-seqs",
            str(settings.max_num_seqs),
        ]
        command += ["--dtype", _dtype(settings, on_gpu=self._on_gpu)]
        command += ["--served-model-name", *model.names] if model.names else []
        if model.takes_lora:
            modules = [f"{name}={path}" for name, path in model.lora.items()]
            command += [
                "--enable-lora",
                "--max-lora-rank",
                str(model.max_lora_rank),
                "--max-loras",
                str(max(1, model.max_loras)),
                *(("--lora-modules", *modules) if modules else ()),
            ]
        command += [] if self._on_gpu else CPU_BLOCKS
        return [*command, *(["--enforce-eager"] if self._is_eager else []), *settings.extra_args]

    @property
    def _is_eager(self) -> bool:
        wanted = self._settings.enforce_eager
        return not self._on_gpu if wanted is None else wanted

    def _environment(self) -> dict[str, str]:
        # Without its byte code vLLM takes twice as long to import.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        # The socket of the engine process takes requests too: in the private directory, not in the common one.
        if len(self._home.name) <= _LONGEST_HOME:
            kept["VLLM_RPC_BASE_PATH"] = self._home.name
        quiet = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
        if self._model.takes_lora:
            # The routes that load and unload adapters: on the private socket, for the guard alone.
            quiet |= {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
        if self._on_gpu:
            return kept | quiet
        return kept | quiet | cpu_environment(self._threads, is_eager=self._is_eager)


def cpu_environment(threads: int, *, is_eager: bool) -> dict[str, str]:
    """Return what a vLLM on the CPU is to find in its environment.

    Args:
        threads: How many it computes with.
        is_eager: Whether it is to compile nothing.
    """
    # By default vLLM keeps one processor free and binds itself to the others: on two that is half the machine.
    cpu = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(threads)}
    # Threads that wait by spinning would take the processors from the other children and from the guard.
    cpu |= {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    if is_eager:
        # vLLM compiles its sampling even so, in C++ at the first request: that ends it where there is no compiler, as in an image.
        cpu |= {"TORCH_COMPILE_DISABLE": "1"}
    return cpu | {"VLLM_CPU_KVCACHE_SPACE": os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1")}


def _dtype(settings: EngineSettings, *, on_gpu: bool) -> str:
    if settings.dtype != "auto" or on_gpu:
        return settings.dtype
    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8") if info.is_file() else ""
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"
