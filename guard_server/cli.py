"""The verbs ``serve``, ``verify`` and ``sign``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from guard_server.errors import GuardConfigError
from p2p.errors import P2PError

USAGE_ERROR = 2


def serve(
    config: Annotated[Path, typer.Argument(help="The guard's YAML file.")],
    engine_url: Annotated[
        str | None, typer.Option(help="A vLLM that runs already, instead of starting one.")
    ] = None,
    listen: Annotated[str | None, typer.Option(help="Host and port over the file's.")] = None,
    unsafe: Annotated[
        bool,
        typer.Option(
            "--unsafe-allow-unguarded", help="Serve adapters marked `unguarded` without the defence."
        ),
    ] = False,
) -> None:
    """Serve guarded adapters behind an OpenAI-compatible API.

    Examples:
      export P2P_GUARD_API_KEYS=$(openssl rand -hex 24); p2p-guard serve guard.yaml

      p2p-guard serve guard.yaml --engine-url http://vllm:8000 --listen 0.0.0.0:8000
    """
    from guard_server.adapter import load_adapters
    from guard_server.adapters.reloading import ConfigReloader
    from guard_server.app import create_app
    from guard_server.engine.fleet import Fleet
    from guard_server.log import configure_logging
    from guard_server.middleware.auth import load_key_digests
    from guard_server.middleware.probe_keys import load_probe_digests
    from guard_server.serving import GuardServer
    from guard_server.settings import GuardConfig, load_config
    from guard_server.side_apps import side_apps

    def adjusted(settings: GuardConfig) -> GuardConfig:
        engine = settings.engine
        if engine_url:
            engine = engine.model_copy(update={"url": engine_url, "urls": ()})
        changes = {
            "engine": engine,
            "listen": listen or settings.listen,
            "unsafe_allow_unguarded": unsafe or settings.unsafe_allow_unguarded,
        }
        return settings.model_copy(update=changes)

    configure_logging()
    with errors_to_exit_codes(Console(stderr=True)):
        settings = adjusted(load_config(config))
        digests = load_key_digests(settings.auth)
        probe_digests = load_probe_digests(settings.auth, digests)
        adapters = load_adapters(settings)
        _warn_of_unguarded([adapter.name for adapter in adapters.values() if adapter.unguarded])
        fleet = Fleet(settings, adapters.values())
        server = GuardServer(settings)
        app = create_app(
            settings, adapters, digests, probe_digests=probe_digests, fleet=fleet, on_failure=server.fail
        )
        state = app.state
        reloader = ConfigReloader(config, settings, adjusted, state.lifecycle, state.metrics)
        state.readiness.details["config"] = reloader.details
        state.beside.append(reloader.watch)
        state.status.reloader = reloader
        beside = side_apps(settings, state.lifecycle, state.metrics, state.readiness, state.status)
        server.run(app, beside)
    if server.has_failed:
        raise typer.Exit(1)


def verify(
    adapter: Annotated[Path, typer.Argument(help="The adapter directory.")],
    base_model: Annotated[
        Path | None, typer.Option(help="Check that it belongs to this base model, too.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="Check its signature with this PEM file, too.")
    ] = None,
) -> None:
    """Verify an adapter directory: its manifest, every file's digest, its base model, its signature.

    Example:
      p2p-guard verify runs/support --base-model .models/SmolLM2-135M-Instruct
    """
    from guard_server.adapters.signature import verify_signature
    from p2p.manifest import verify_adapter, verify_base_model

    console = Console()
    with errors_to_exit_codes(console):
        verified = verify_adapter(adapter)
        if base_model:
            verify_base_model(verified.manifest, base_model)
        if public_key:
            verify_signature(adapter, public_key)
        console.print(
            f"{verified.content_name}: {len(verified.manifest.files)} files as they were published",
            markup=False,
        )


def sign(
    adapter: Annotated[Path, typer.Argument(help="The adapter directory.")],
    key: Annotated[Path, typer.Option(help="A PEM file with an elliptic-curve private key.")],
) -> None:
    """Sign an adapter directory (OpenSSF model signing); writes model.sig into it. Needs the extra `signing`.

    Examples:
      openssl ecparam -name prime256v1 -genkey -noout -out key.pem && openssl ec -in key.pem -pubout -out key.pub

      p2p-guard sign runs/support --key key.pem
    """
    from guard_server.adapters import signature

    console = Console()
    with errors_to_exit_codes(console):
        console.print(f"signed: {signature.sign(adapter, key)}", markup=False, soft_wrap=True)


def _warn_of_unguarded(names: list[str]) -> None:
    import structlog

    if names:
        structlog.get_logger().warning("SERVING_WITHOUT_THE_DEFENCE", adapters=names)


@contextmanager
def errors_to_exit_codes(console: Console) -> Iterator[None]:
    """Print what was raised on purpose, and exit with 2."""
    try:
        yield
    except (P2PError, GuardConfigError) as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(USAGE_ERROR) from error
