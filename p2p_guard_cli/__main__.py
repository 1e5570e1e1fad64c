"""``python -m p2p_guard_cli`` is ``p2p-guard``."""

from p2p_guard_cli.main import app

app()
