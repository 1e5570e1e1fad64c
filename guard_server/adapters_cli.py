"""The verbs below ``adapters``: they speak to a running guard's admin API."""

import json
import os
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

adapters = typer.Typer(
    help="See and change which adapter versions a running guard serves, over its admin API.",
    no_args_is_help=True,
)
_USAGE_ERROR = 2
_Url = Annotated[str, typer.Option(help="The guard's admin listener.")]
_KeyEnv = Annotated[
    str, typer.Option(help="The variable with the admin key; of several, the first is taken.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
_Name = Annotated[str, typer.Argument(help="The adapter's name in guard.yaml.")]
_URL = "http://127.0.0.1:8001"
_KEY_ENV = "P2P_GUARD_ADMIN_KEYS"


@adapters.command("list")
def list_adapters(url: _Url = _URL, key_env: _KeyEnv = _KEY_ENV, as_json: _Json = False) -> None:
    """Show every adapter: which version is live, staged, and kept for a rollback.

    Example:
      p2p-guard adapters list --url http://127.0.0.1:8001
    """
    found = _ask("GET", url, key_env, "adapters")["data"]
    columns = ("name", "state", "healthy", "version", "staged", "previous", "in_flight", "source")
    _show(found, columns, as_json=as_json)


@adapters.command()
def load(
    name: _Name,
    source: Annotated[str | None, typer.Option(help="Another source than guard.yaml's.")] = None,
    url: _Url = _URL,
    key_env: _KeyEnv = _KEY_ENV,
) -> None:
    """Load a version beside the live one, verify and probe it, and stage it; exit 1 when it is refused.

    Example:
      p2p-guard adapters load support --source oci://registry.example.com/adapters/support:v2
    """
    _say(_ask("POST", url, key_env, f"adapters/{name}/load", {"source": source} if source else None))


@adapters.command()
def promote(name: _Name, url: _Url = _URL, key_env: _KeyEnv = _KEY_ENV) -> None:
    """Let the staged version take over; when this returns, no new request gets the old one.

    Example:
      p2p-guard adapters promote support
    """
    _say(_ask("POST", url, key_env, f"adapters/{name}/promote"))


@adapters.command()
def rollback(name: _Name, url: _Url = _URL, key_env: _KeyEnv = _KEY_ENV) -> None:
    """Go back to the version before.

    Example:
      p2p-guard adapters rollback support
    """
    _say(_ask("POST", url, key_env, f"adapters/{name}/rollback"))


@adapters.command()
def unload(name: _Name, url: _Url = _URL, key_env: _KeyEnv = _KEY_ENV) -> None:
    """Let go of the staged version and of the one that is kept loaded for a rollback.

    Example:
      p2p-guard adapters unload support
    """
    _say(_ask("POST", url, key_env, f"adapters/{name}/unload"))


@adapters.command()
def history(
    name: Annotated[str | None, typer.Argument(help="One adapter; without it, all.")] = None,
    url: _Url = _URL,
    key_env: _KeyEnv = _KEY_ENV,
    as_json: _Json = False,
) -> None:
    """Show what happened since the guard started.

    Example:
      p2p-guard adapters history support
    """
    found = _ask("GET", url, key_env, f"adapters/{name}/history" if name else "history")["data"]
    _show(found, ("at", "kind", "adapter", "version", "actor", "reason"), as_json=as_json)


def _ask(
    method: str, url: str, key_env: str, path: str, body: dict[str, str] | None = None
) -> dict[str, Any]:
    import httpx

    key = os.environ.get(key_env, "").replace("\n", ",").split(",")[0].strip()
    try:
        # Loading takes as long as an engine takes to start.
        reply = httpx.request(
            method,
            f"{url.rstrip('/')}/admin/v1/{path}",
            headers={"authorization": f"Bearer {key}"},
            json=body,
            timeout=httpx.Timeout(3600, connect=10),
        )
        found: dict[str, Any] = reply.json()
    except (httpx.HTTPError, ValueError) as error:
        _fail(
            f"{url} is no admin listener that answers ({type(error).__name__}); it is `admin.listen` in guard.yaml"
        )
    if reply.status_code != 200:
        _fail(
            found.get("error", {}).get("message", f"status {reply.status_code}"),
            refused=reply.status_code in (409, 422),
        )
    return found


def _fail(message: str, *, refused: bool = False) -> NoReturn:
    Console(stderr=True).print(f"error: {message}", markup=False, soft_wrap=True)
    raise typer.Exit(1 if refused else _USAGE_ERROR)


def _say(found: dict[str, Any]) -> None:
    Console().print(
        ", ".join(f"{name}: {value}" for name, value in found.items()), markup=False, soft_wrap=True
    )


def _show(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*("-" if row[name] is None else str(row[name]) for name in columns))
    Console().print(table)
