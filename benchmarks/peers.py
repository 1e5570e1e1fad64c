"""Other programs that stand before an engine, fetched when they are asked for: nginx as the floor, and the LiteLLM proxy."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import yaml

from benchmarks.debian import PLACE, unpacked
from benchmarks.serving_bed import KEY, Bed, Process, free_port, running, wait_until

LITELLM = "litellm[proxy]==1.77.7"


@contextmanager
def nginx(bed: Bed, engine: int) -> Iterator[Process]:
    """Run nginx with one worker and kept connections before the engine."""
    program, port, home = _nginx_program(), free_port(), bed.home / "nginx"
    home.mkdir()
    config = f"""
daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/f;
  uwsgi_temp_path {home}/u; scgi_temp_path {home}/s; keepalive_requests 100000000;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 128; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}
}}
"""
    (home / "nginx.conf").write_text(config, encoding="utf-8")
    with running([str(program), "-c", str(home / "nginx.conf"), "-p", str(home)]) as popen:
        wait_until(f"http://127.0.0.1:{port}/health", popen)
        yield Process(popen, port)


@contextmanager
def litellm(bed: Bed, engine: int) -> Iterator[Process]:
    """Run the LiteLLM proxy, one worker and default settings, before the engine."""
    python, port = _litellm_python(), free_port()
    models = [
        {
            "model_name": target,
            "litellm_params": {
                "model": f"hosted_vllm/{target}",
                "api_base": f"http://127.0.0.1:{engine}/v1",
                "api_key": "x",
            },
        }
        for target in bed.targets.values()
    ]
    path = bed.home / "litellm.yaml"
    path.write_text(
        yaml.safe_dump({"model_list": models, "general_settings": {"master_key": KEY}}),
        encoding="utf-8",
    )
    command = [
        str(python.parent / "litellm"),
        "--config",
        str(path),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    log = (bed.home / "litellm.log").open("wb")
    with log, running(command, stdout=log, stderr=log, env=_offline()) as popen:
        wait_until(f"http://127.0.0.1:{port}/health/liveliness", popen)
        time.sleep(2)
        yield Process(popen, port)


PEERS: dict[str, Callable[[Bed, int], AbstractContextManager[Process]]] = {"nginx": nginx, "litellm": litellm}


def _litellm_python() -> Path:
    """Return the Python of an environment of its own with the proxy in it; made once."""
    home = PLACE / hashlib.sha256(LITELLM.encode()).hexdigest()[:12]
    python = home / "bin/python"
    if not (home / "bin/litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", LITELLM], check=True)
    return python


def _nginx_program() -> Path:
    """Return nginx: the machine's own, or the one of its Debian package, unpacked."""
    found = shutil.which("nginx")
    return Path(found) if found else unpacked("nginx") / "usr/sbin/nginx"


def _offline() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "DATABASE_URL"}}
    return kept | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
