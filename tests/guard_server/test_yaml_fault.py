import pytest
import yaml

from guard_server.errors import GuardConfigError
from guard_server.probes.canary import load_canary
from guard_server.settings import load_config
from guard_server.yaml_fault import yaml_fault


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: b: secret", "line 1, column 5: mapping values are not allowed here"),
        ("\na: *secret", "line 2, column 4: found undefined alias ..."),
        ("a: [secret: x", "line 1, column 14: expected ',' or ']', but got '<stream end>'"),
        ("a: !secret x", "line 1, column 4: could not determine a constructor for the tag ..."),
    ],
)
def test_the_place_is_told_and_no_word_of_the_file(content: str, said: str):
    with pytest.raises(yaml.YAMLError) as caught:
        yaml.safe_load(content)
    assert yaml_fault(caught.value) == said


@pytest.mark.parametrize("load", [load_config, load_canary])
def test_files_that_are_no_yaml_are_not_quoted(load, tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("cases: [{input: where is my secret: parcel")
    with pytest.raises(GuardConfigError, match="line 1, column") as caught:
        load(path)
    assert "secret" not in str(caught.value)
