"""A real Prometheus that scrapes one target, and answers queries."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml


class Prometheus(NamedTuple):
    """A running server."""

    url: str

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the series of an instant query; a query that does not parse raises."""
        reply = httpx.get(f"{self.url}/api/v1/query", params={"query": expr}, timeout=30).json()
        if reply["status"] != "success":
            raise ValueError(f"{expr}: {reply['error']}")
        found: list[dict[str, Any]] = reply["data"]["result"]
        return found

    def scrapes(self) -> float:
        """How many scrapes of the target are stored."""
        found = self.query('count_over_time(up{job="guard"}[1h])')
        return float(found[0]["value"][1]) if found else 0.0

    def wait_for_scrapes(self, more: int, seconds: float = 60) -> None:
        """Wait until so many more scrapes are stored."""
        wanted, deadline = self.scrapes() + more, time.monotonic() + seconds
        while self.scrapes() < wanted:
            assert time.monotonic() < deadline, "Prometheus does not scrape the guard"
            time.sleep(0.2)


@contextmanager
def prometheus(tools: Path, home: Path, targets: list[str], key: str, rules: Path) -> Iterator[Prometheus]:
    """Scrape these targets once a second until the block ends."""
    scrape = {
        "job_name": "guard",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "authorization": {"credentials": key},
        "static_configs": [{"targets": targets}],
    }
    config = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": [str(rules.resolve())],
        "scrape_configs": [scrape],
    }
    (home / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        str(tools / "prometheus"),
        f"--config.file={home / 'prometheus.yml'}",
        f"--web.listen-address={listen}",
    ]
    with (home / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, f"--storage.tsdb.path={home / 'data'}"], stdout=log, stderr=log)
    try:
        _wait_until_ready(process, f"http://{listen}", home / "prometheus.log")
        yield Prometheus(f"http://{listen}")
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        try:
            if httpx.get(f"{url}/-/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
