"""Write ``docs/canary.schema.json``, the JSON Schema of canary files, from the models that check them."""

from pathlib import Path

from guard_server.probes.schema import canary_schema

OUTPUT = Path(__file__).parents[1] / "docs" / "canary.schema.json"

if __name__ == "__main__":
    OUTPUT.write_text(canary_schema(), encoding="utf-8")
    print(OUTPUT)
