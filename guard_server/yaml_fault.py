"""Where a YAML file is broken: for messages that may be shown, since PyYAML's own quotes the file."""

import re

import yaml

_QUOTED = re.compile(r"'[^']*'")
_OWN = re.compile(r"'(<[a-z ]+>|[^\w\s])'")
"""PyYAML's own names of tokens, such as ``'<block end>'``, and single signs."""


def yaml_fault(error: yaml.YAMLError) -> str:
    """Return the place and the kind of a fault without a word of the file."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "it is not YAML"
    mark, problem = error.problem_mark, _QUOTED.sub(_unless_own, error.problem or "it is not YAML")
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _unless_own(quoted: re.Match[str]) -> str:
    return quoted[0] if _OWN.fullmatch(quoted[0]) else "..."
