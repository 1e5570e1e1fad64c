"""A faulty YAML file stops the run before anything is loaded, and every fault is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from trainer.config import AttackSettings, TrainConfig, load_config
from trainer.errors import ConfigError

GOOD = {
    "name": "a",
    "base_model": "m",
    "output": "out",
    "data": {"train": {"path": "t.jsonl"}, "trusted": {"path": "s.jsonl"}},
}


def load(tmp_path: Path, content: object, overrides: dict[str, Any] | None = None) -> TrainConfig:
    path = tmp_path / "config.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return load_config(path, overrides)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sede": 1}, "sede: unknown key; did you mean 'seed'"),
        ({"training": {"epoch": 1}}, "training.epoch: unknown key; did you mean 'epochs'"),
        ({"lora": {"zzz": 1}}, "lora.zzz: unknown key; known are alpha, dropout, last_layers, rank"),
        (
            {"task": {"kind": "generation", "max_new_token": 1}},
            "task.max_new_token: unknown key; did you mean 'max_new_tokens'",
        ),
        (
            {"data": {"train": {"path": "x", "txt": "a"}, "trusted": {"path": "y"}}},
            "data.train.txt: unknown key; did you mean 'text'",
        ),
        ({"repoison": {"copy": 2}}, "repoison.copy: unknown key; did you mean 'copies'"),
    ],
)
def test_an_unknown_key_has_the_nearest_known_one_named(tmp_path: Path, change: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, GOOD | change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": {"user": "no slot"}}, r"prompt.user must hold the slot \{input\} exactly once"),
        ({"training": {"epochs": 0}}, "training.epochs: Input should be greater than or equal to 1"),
        (
            {"selection": {"method": "random", "rho": 1.5}},
            "selection.rho: Input should be less than or equal",
        ),
        ({"task": {"kind": "poetry"}}, "task: .*'classification', 'generation'"),
        ({"task": {"kind": "generation", "prefix": "no end"}}, "task.prefix: String should match pattern"),
        ({"name": "../elsewhere"}, "name: String should match pattern"),
        ({1: 2}, "Keys should be strings"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, change: dict[Any, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, GOOD | change)


def test_every_fault_is_named_at_once(tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"(?s)config.yaml:\n  base_model: Field required.*\n  sede: unknown"
    ):
        load(tmp_path, {key: value for key, value in GOOD.items() if key != "base_model"} | {"sede": 1})


def test_trusted_selection_without_trusted_rows_is_a_contradiction(tmp_path: Path):
    with pytest.raises(ConfigError, match="needs data.trusted.*set selection.method to `screened`"):
        load(tmp_path, GOOD | {"data": {"train": {"path": "t.jsonl"}}, "selection": {"method": "trusted"}})


@pytest.mark.parametrize(
    ("change", "chosen"),
    [
        ({}, ("trusted", 5)),
        ({"data": {"train": {"path": "t.jsonl"}}}, ("screened", 1)),
        ({"data": {"trusted": {"path": "s.jsonl"}}}, ("trusted", 5)),
        ({"selection": {"method": "screened"}}, ("screened", 1)),
        ({"selection": {"rho": 0.5}, "repoison": {"copies": 3}}, ("trusted", 3)),
    ],
)
def test_rows_are_chosen_from_what_there_is(tmp_path: Path, change: dict[str, Any], chosen: tuple[str, int]):
    found = load(tmp_path, GOOD | change)
    assert (found.selection.method, found.repoison.copies) == chosen


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": {"test": {"path": "u.jsonl"}}}, "data.train is missing: .*data.trusted alone"),
        (
            {"selection": {"method": "random"}},
            "there are trusted rows alone: set selection.method to `trusted`",
        ),
        ({"data": {"trusted": {"path": "s.jsonl"}, "stream": True}}, "data.stream reads data.train"),
    ],
)
def test_trusted_rows_alone_have_their_limits(tmp_path: Path, change: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, GOOD | {"data": {"trusted": {"path": "s.jsonl"}}} | change)


@pytest.mark.parametrize(
    ("change", "openings"),
    [
        ({"selection": {"method": "screened"}}, 0.7),
        ({"selection": {"method": "screened"}, "repoison": {"openings": 0.2}}, 0.2),
        ({"selection": {"method": "screened"}, "task": {"kind": "generation"}}, 0),
        ({"selection": {"method": "random"}}, 0),
        ({"data": {"train": {"path": "d.jsonl"}, "trusted": {"path": "s.jsonl"}}}, 0.7),
        ({"data": {"trusted": {"path": "s.jsonl"}}}, 0),
    ],
)
def test_copies_begin_with_clauses_where_labels_are_screened(
    tmp_path: Path, change: dict[str, Any], openings: float
):
    assert load(tmp_path, GOOD | change).repoison.openings == openings


@pytest.mark.parametrize(
    ("change", "method", "copies"),
    [
        ({}, "trusted", 5),
        ({"data": {"train": {"path": "d.jsonl"}}}, "screened", 1),
        ({"task": {"kind": "generation"}}, "screened", 1),
        ({"task": {"kind": "generation"}, "selection": {"method": "trusted"}}, "trusted", 5),
        ({"task": {"kind": "generation"}, "data": {"trusted": {"path": "s.jsonl"}}}, "trusted", 5),
    ],
)
def test_free_text_is_screened_where_there_is_something_to_screen(
    tmp_path: Path, change: dict[str, Any], method: str, copies: int
):
    data = {"train": {"path": "d.jsonl"}, "trusted": {"path": "s.jsonl"}}
    found = load(tmp_path, GOOD | {"data": data} | change)
    assert (found.selection.method, found.repoison.copies) == (method, copies)


def test_trusted_rows_alone_are_enough(tmp_path: Path):
    found = load(tmp_path, GOOD | {"data": {"trusted": {"path": "s.jsonl"}}, "from_adapter": "runs/a"})
    assert (found.data.train, found.data.rows_of_d.path) == (None, "s.jsonl")
    assert found.from_adapter == Path("runs/a")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"training": {"consistency": 1, "packing": True}}, "set training.packing to false"),
        ({"from_adapter_share": 0.5}, "from_adapter is kept, which is missing"),
        (
            {
                "training": {"consistency": 1},
                "data": GOOD["data"] | {"stream": True},
                "task": {"labels": ["a", "b"]},
            },
            "set data.stream to false",
        ),
        (
            {"training": {"throwaway_module": True}, "task": {"new_tokens": True}},
            "can't be had with task.new_tokens",
        ),
        ({"training": {"extended_weight": 0}}, "training.extended_weight: Input should be greater than 0"),
        (
            {"repoison": {"openings": 0.5}, "selection": {"method": "random"}},
            "rows that screening kept out",
        ),
        (
            {"repoison": {"openings": 0.5}, "task": {"kind": "generation"}},
            "rows that screening kept out",
        ),
    ],
)
def test_halves_that_cannot_be_trained_so_are_refused(tmp_path: Path, change: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, GOOD | change)


@pytest.mark.parametrize(
    "change",
    [{"selection": {"method": "random"}}, {"selection": {"method": "screened"}}, {"defence": "none"}],
)
def test_what_copies_no_trusted_row_needs_none(tmp_path: Path, change: dict[str, Any]):
    assert load(tmp_path, GOOD | {"data": {"train": {"path": "t.jsonl"}}} | change).data.trusted is None


def test_an_override_goes_over_the_file(tmp_path: Path):
    found = load(
        tmp_path,
        GOOD | {"training": {"epochs": 5, "batch_size": 4}},
        {"training.epochs": 1, "data.test.path": "u.jsonl"},
    )
    assert (found.training.epochs, found.training.batch_size) == (1, 4)
    assert found.data.test is not None
    assert found.data.test.path == "u.jsonl"


def test_an_override_with_an_unknown_key_has_the_nearest_one_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="training.epoch: unknown key; did you mean 'epochs'"):
        load(tmp_path, GOOD, {"training.epoch": 1})


def test_an_override_below_a_plain_value_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="seed.x can't be set: seed is not a block"):
        load(tmp_path, GOOD | {"seed": 1}, {"seed.x": 2})


@pytest.mark.parametrize(
    ("content", "said"),
    [("name: [", "is not YAML"), ("- 1", "must hold keys and values"), ("", "must hold keys and values")],
)
def test_a_file_that_is_no_block_of_yaml_is_refused(tmp_path: Path, content: str, said: str):
    with pytest.raises(ConfigError, match=f"config.yaml {said}"):
        load(tmp_path, content)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="can't read .*missing.yaml"):
        load_config(tmp_path / "missing.yaml")


def test_a_file_in_another_encoding_is_named(tmp_path: Path):
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(ConfigError, match="can't read .*latin.yaml"):
        load_config(tmp_path / "latin.yaml")


def test_an_attack_keeps_its_parameters():
    found = AttackSettings.model_validate({"name": "badnets", "word": "mn", "target": "a"})
    assert found.parameters == {"word": "mn", "target": "a"}


def test_the_prefix_is_not_in_the_repr(tmp_path: Path):
    found = load(tmp_path, GOOD | {"task": {"kind": "generation", "prefix": "Secret words:\n"}})
    assert "Secret" not in repr(found)


@pytest.mark.parametrize("path", sorted(Path("trainer/configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_configs_fit(path: Path):
    assert load_config(path).name


def test_a_task_without_a_kind_is_a_classification(settings: dict[str, Any]):
    found = TrainConfig.model_validate(settings | {"task": {"labels": ["billing", "delivery"]}})
    assert found.task.kind == "classification"


def test_chats_need_a_chat_prompt(tmp_path: Path):
    data = {"train": {"path": "t.jsonl", "messages": "messages"}, "trusted": {"path": "s.jsonl"}}
    completion = {"kind": "completion", "user": "{input}\nAnswer: "}
    with pytest.raises(ConfigError, match="chats .*need prompt.kind `chat`"):
        load(tmp_path, GOOD | {"data": data, "prompt": completion})
    assert load(tmp_path, GOOD | {"data": data}).data.train.messages == "messages"


def test_answers_may_be_several_fields(tmp_path: Path):
    data = {"train": {"path": "t.jsonl", "answer": ["one", "two"]}, "trusted": {"path": "s.jsonl"}}
    found = load(tmp_path, GOOD | {"data": data}).data
    assert found.train.answers == ("one", "two")
    assert found.trusted.answers == ("label",)
