"""Where a YAML file is broken: for messages that may be shown, since PyYAML's own quotes the file."""

import re

import yaml

_QUOTED = re.compile(r"'[^']*'")


def yaml_fault(error: yaml.YAMLError) -> str:
    """Return the place and the kind of a fault without a word of the file."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "it is not YAML"
    mark, problem = error.problem_mark, _QUOTED.sub("...", error.problem or "it is not YAML")
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
