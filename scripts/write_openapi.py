"""Write ``docs/openapi.json``, the guard's OpenAPI document, from the models that read requests."""

import json
from importlib.metadata import version
from pathlib import Path

from guard_server.openapi import document

OUTPUT = Path(__file__).parents[1] / "docs" / "openapi.json"


def content() -> str:
    """Return the file's text."""
    return json.dumps(document(version("p2p-guard")), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(content(), encoding="utf-8")
    print(OUTPUT)
