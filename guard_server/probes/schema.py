"""The JSON Schema of canary files, as it is published."""

import json

from pydantic.json_schema import GenerateJsonSchema

from guard_server.probes.canary import CanarySet


def canary_schema() -> str:
    """Return the schema as indented JSON with a newline at its end."""
    schema = {"$schema": GenerateJsonSchema.schema_dialect, **CanarySet.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"
