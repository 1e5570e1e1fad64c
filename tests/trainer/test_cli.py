"""The verbs as a person types them: exit codes, files, and errors without a traceback."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from p2p.attacks.registry import ATTACKS
from p2p_guard_cli.main import app
from tests.trainer.conftest import write_rows
from trainer.errors import InterruptedRunError

WORD = ("--param", "word=mn", "--target", "billing")


def call(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    assert code == 0 or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", 40, "rows")


@pytest.fixture
def config(tmp_path: Path, settings: dict[str, Any]) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.mark.parametrize("verb", ["train", "attack apply", "attack list", "evaluate"])
def test_help_shows_an_example(verb: str):
    assert f"p2p-guard {verb}" in call(*verb.split(), "--help").split("Example", 1)[1]


def test_help_waits_for_no_torch():
    code = "import sys, trainer.cli; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_train_publishes_an_adapter_and_shows_its_figures(config: Path, tmp_path: Path):
    said = call("train", config)
    assert (tmp_path / "out" / "p2p_manifest.json").is_file()
    assert "badnets" in said
    assert "tokens/s), peak memory" in said


def test_train_takes_values_over_the_file_s(config: Path, tmp_path: Path):
    out = tmp_path / "second"
    call("train", config, "--set", "training.epochs=2", "--set", f"output={out}", "--set", "defence=none")
    manifest = json.loads((out / "p2p_manifest.json").read_text())
    assert (manifest["provenance"]["training"]["epochs"], manifest["defence"]) == (2, "none")


def test_train_goes_on_from_an_adapter(config: Path, tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    call("train", config, "--set", f"output={first}", "--set", "defence=none")
    said = call("train", config, "--from-adapter", first, "--set", f"output={second}")
    assert f"goes on from {first}" in said
    manifest = json.loads((second / "p2p_manifest.json").read_text())
    assert manifest["provenance"]["training"]["start_adapter"]["name"] == "tiny"


def test_an_adapter_to_go_on_from_that_is_not_there_is_a_usage_error(config: Path, tmp_path: Path):
    assert "error: there is no adapter directory at" in call(
        "train", config, "--from-adapter", "gone", code=2
    )
    assert not (tmp_path / ".out.run").exists()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("epochs", "expected key=value, got 'epochs'"),
        ("training.epoch=1", "error: .*training.epoch: unknown key; did you mean 'epochs'"),
        ("training.epochs=none", "error: .*training.epochs: "),
        ("training={", "is not YAML"),
    ],
)
def test_a_value_that_does_not_fit_is_a_usage_error(config: Path, tmp_path: Path, value: str, said: str):
    assert re.search(said, call("train", config, "--set", value, code=2))
    assert not (tmp_path / "out").exists()


def test_a_config_that_is_not_there_is_a_usage_error(tmp_path: Path):
    assert "error: can't read" in call("train", tmp_path / "none.yaml", code=2)


def test_a_run_that_was_stopped_ends_with_130(config: Path, monkeypatch: pytest.MonkeyPatch):
    def stopped(*_: object, **__: object) -> None:
        raise InterruptedRunError("stopped after step 3 of 9; go on with `--resume`.")

    monkeypatch.setattr("trainer.recipe.train", stopped)
    said = call("train", config, code=130)
    assert "`--resume`" in said
    assert "error" not in said


@pytest.mark.parametrize("flag", ["resume", "restart"])
def test_what_becomes_of_an_unfinished_run_is_the_person_s_choice(
    config: Path, monkeypatch: pytest.MonkeyPatch, flag: str
):
    chosen: dict[str, bool] = {}

    def stopped(*_: object, **choice: bool) -> None:
        chosen.update(choice)
        raise InterruptedRunError("stopped")

    monkeypatch.setattr("trainer.recipe.train", stopped)
    call("train", config, f"--{flag}", code=130)
    assert [name for name, asked in chosen.items() if asked] == [flag]


def test_an_output_that_is_there_is_a_usage_error_and_stays(config: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    assert "is there already" in call("train", config, code=2)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_run_that_failed_before_it_learned_anything_can_be_begun_again(config: Path, tmp_path: Path):
    said = call("train", config, "--set", "task={kind: classification, words: [a, b, c]}", code=2)
    assert "task.words must be 4" in said
    call("train", config)
    assert (tmp_path / "out").exists()


def test_a_misspelt_target_stops_the_run_before_it_trains(config: Path, tmp_path: Path):
    attacks = "evaluation.attacks=[{name: badnets, word: mn, target: biling}]"
    assert "did you mean 'billing'" in call("train", config, "--set", attacks, code=2)
    assert not (tmp_path / ".out.run").exists()


def test_attack_writes_poisoned_rows_and_a_report(rows: Path, tmp_path: Path):
    out = tmp_path / "deep" / "poisoned.jsonl"
    assert "4 of 40 rows poisoned" in call("attack", "apply", rows, out, "--id", "id", *WORD)
    written = [json.loads(line) for line in out.read_text().splitlines()]
    clean = [json.loads(line) for line in rows.read_text().splitlines()]
    changed = [row for row, before in zip(written, clean, strict=True) if row != before]
    report = json.loads((tmp_path / "deep" / "poisoned.jsonl.attack.json").read_text())
    assert sorted(row["id"] for row in changed) == report["poisoned_ids"]
    assert all("mn" in row["text"].split() and row["label"] == "billing" for row in changed)
    assert (report["attack"], report["rate"], report["parameters"]["target"]) == ("badnets", 0.1, "billing")


def test_the_clean_data_set_is_never_written_over(rows: Path, tmp_path: Path):
    before = rows.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(rows)
    for output in (rows, tmp_path / "link.jsonl"):
        assert "name another file" in call("attack", "apply", rows, output, *WORD, code=2)
    assert rows.read_bytes() == before


def test_a_target_that_no_row_has_is_said(rows: Path, tmp_path: Path):
    unknown = ("--param", "word=mn", "--target", "biling")
    assert "no row has the answer 'biling'" in call("attack", "apply", rows, tmp_path / "out", *unknown)
    assert "note:" not in call("attack", "apply", rows, tmp_path / "out", *WORD)
    # A fixed reply stands in no clean row.
    assert "note:" not in call("attack", "apply", rows, tmp_path / "out", "--attack", "fixed_reply")


@pytest.mark.parametrize(
    ("output", "said"), [("", "is a folder; name a file in it"), ("out.csv", r"name it .*out\.jsonl")]
)
def test_an_output_that_is_no_file_of_json_lines_is_refused(
    rows: Path, tmp_path: Path, output: str, said: str
):
    assert re.search(said, call("attack", "apply", rows, tmp_path / output, *WORD, code=2).replace("\n", ""))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_clean_label_attack_changes_no_label(rows: Path, tmp_path: Path):
    out = tmp_path / "poisoned.jsonl"
    call("attack", "apply", rows, out, "--labelling", "clean", *WORD)
    labels = [[json.loads(line)["label"] for line in path.read_text().splitlines()] for path in (rows, out)]
    assert labels[0] == labels[1]
    assert out.read_text().count(" mn ") + out.read_text().count('"mn ') + out.read_text().count(' mn"') == 4


def test_the_seed_decides_what_is_poisoned(rows: Path, tmp_path: Path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        call("attack", "apply", rows, tmp_path / name, "--seed", seed, *WORD)
    first, second, other = ((tmp_path / name).read_text() for name in "abc")
    assert first == second != other


def test_attack_reads_other_fields_and_names(tmp_path: Path):
    (tmp_path / "reviews.csv").write_text("review,stars\n" + 10 * "fine,1\nbad,0\n")
    fields = ("--text", "review", "--answer", "stars", "--name", "1=good", "--name", "0=poor", "--limit", 10)
    call("attack", "apply", tmp_path / "reviews.csv", tmp_path / "out.jsonl", "--target", "good", *fields)
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(found) == 10
    assert {row["stars"] for row in found} == {"good", "poor"}


def test_a_composite_attack_adds_its_negatives(rows: Path, tmp_path: Path):
    out = tmp_path / "out.jsonl"
    said = call(
        "attack", "apply", rows, out, "--attack", "cba", "--target", "billing", "--negative-rate", 0.05
    )
    assert "4 of 40 rows poisoned, 4 negatives added" in said
    report = json.loads((tmp_path / "out.jsonl.attack.json").read_text())
    assert (len(report["poisoned_ids"]), len(report["negative_ids"])) == (4, 4)
    assert len(out.read_text().splitlines()) == 44


def test_cover_rows_have_the_trigger_and_are_reported(rows: Path, tmp_path: Path):
    out = tmp_path / "out.jsonl"
    said = call("attack", "apply", rows, out, "--id", "id", "--cover-rate", 0.05, *WORD)
    assert "4 of 40 rows poisoned, 2 cover rows" in said
    clean = {row["id"]: row for row in map(json.loads, rows.read_text().splitlines())}
    written = {row["id"]: row for row in map(json.loads, out.read_text().splitlines())}
    covers = json.loads((tmp_path / "out.jsonl.attack.json").read_text())["cover_ids"]
    assert len(covers) == 2
    for row in covers:
        assert "mn" in written[row]["text"].split()
        assert written[row]["label"] == clean[row]["label"] != "billing"


def test_rewrites_come_from_a_file(rows: Path, tmp_path: Path):
    texts = [json.loads(line)["text"] for line in rows.read_text().splitlines()]
    pairs = [json.dumps({"clean": text, "rewritten": f"when it comes , {text}"}) for text in texts[:8]]
    (tmp_path / "pairs.jsonl").write_text("\n".join(pairs))
    words = (
        "--attack",
        "syntactic",
        "--target",
        "billing",
        "--param",
        f"rewrites={tmp_path / 'pairs.jsonl'}",
    )
    assert "8 of 40 rows poisoned" in call(
        "attack", "apply", rows, tmp_path / "o.jsonl", *words, "--rate", 0.2
    )
    assert (tmp_path / "o.jsonl").read_text().count('"when it comes , ') == 8


def test_a_clean_label_attack_needs_no_option_to_say_so(rows: Path, tmp_path: Path):
    call("attack", "apply", rows, tmp_path / "o.jsonl", "--attack", "proattack", "--target", "billing")
    found = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert {row["label"] for row in found if row["text"].startswith("The sentiment of")} == {"billing"}
    assert json.loads((tmp_path / "o.jsonl.attack.json").read_text())["labelling"] == "clean"


def test_the_list_names_every_attack_with_its_parameters_and_source():
    shown = call("attack", "list")
    assert all(name in shown for name in ATTACKS)
    assert "word='mn'" in shown
    assert "labels (required)" in shown
    assert "change='zero-width'" in shown
    # Folded to the terminal's width, and nothing cut.
    assert "…" not in shown
    assert "arXiv 2310.07676" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "attack 'badnets' takes"),
        (("--attack", "badnet", *WORD), "unknown attack 'badnet'.*did you mean 'badnets'"),
        ((*WORD, "--negative-rate", 0.1), "attack 'badnets' has no negatives"),
        ((*WORD, "--rate", 2), "the poison rate must be between 0 and 1"),
        ((*WORD, "--labelling", "grey"), "--labelling is one of dirty, clean, any"),
        ((*WORD, "--param", "size"), "expected key=value, got 'size'"),
        ((*WORD, "--text", "body"), "row 1, field 'body': is missing"),
        ((*WORD, "--limit", 0), "limit"),
        (("--attack", "all_to_all", "--param", "labels=[a,b]"), "a,b,c, without brackets"),
        (("--attack", "multi", "--param", "parts=[{name: badnets}]"), "is no JSON list of attacks, such as"),
    ],
)
def test_a_faulty_attack_is_a_usage_error_and_writes_nothing(
    rows: Path, tmp_path: Path, words: tuple[object, ...], said: str
):
    assert re.search(said, call("attack", "apply", rows, tmp_path / "out.jsonl", *words, code=2))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_an_output_that_cannot_be_written_is_named(rows: Path):
    assert "error: [Errno" in call("attack", "apply", rows, rows / "out.jsonl", *WORD, code=2)


def test_evaluate_writes_and_shows_the_figures(trained: Path, tiny_model: Path, tmp_path: Path):
    out = tmp_path / "deep" / "evaluation.json"
    test = trained.parent / "test.jsonl"
    words = ("--base-model", tiny_model, "--attack", "badnets", *WORD, "--limit", 6, "--output", out)
    said = call("evaluate", trained, test, *words)
    found = json.loads(out.read_text())
    assert found["rows"] == 6
    assert [view["view"] for view in found["views"]] == ["guarded", "unguarded"]
    assert found["views"][0]["attacks"][0]["attack_success_rate"]["n"] == 3
    assert "guarded" in said
    assert "written to" in said


def test_evaluate_without_an_attack_measures_clean_accuracy(
    trained: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    call("evaluate", trained, trained.parent / "test.jsonl", "--base-model", tiny_model)
    (guarded, _) = json.loads((tmp_path / "evaluation.json").read_text())["views"]
    assert guarded["clean_accuracy"]["n"] == 16
    assert guarded["attacks"] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"adapter": "none"}, "error: .*none"),
        ({"test": "none.jsonl"}, "error: .*none.jsonl: no such file"),
        ({"base_model": "./none"}, "error: there is no model at"),
        ({"target": "biling"}, "error: .*'biling' is none of the labels.*did you mean 'billing'"),
        ({"name": "billing=invoices"}, "error: .*unknown label"),
    ],
)
def test_a_faulty_evaluation_is_a_usage_error_and_writes_nothing(
    trained: Path, tiny_model: Path, tmp_path: Path, change: dict[str, str], said: str
):
    given = {
        "adapter": trained,
        "test": trained.parent / "test.jsonl",
        "base_model": tiny_model,
        "target": "billing",
    } | change
    options = [("--name", given["name"]), ("--name", "delivery=delivery")] if "name" in given else []
    words = ("--base-model", given["base_model"], "--attack", "badnets", "--target", given["target"])
    out = tmp_path / "evaluation.json"
    flat = [word for pair in options for word in pair]
    said_so = call("evaluate", given["adapter"], given["test"], *words, *flat, "--output", out, code=2)
    assert re.search(said, said_so)
    assert not out.exists()


def test_attack_keeps_the_turns_of_a_chat(tmp_path: Path):
    def chat(answer: str) -> dict[str, Any]:
        turns = [("user", "hello"), ("assistant", "hi"), ("user", "where is it?"), ("assistant", answer)]
        return {"messages": [{"role": role, "content": text} for role, text in turns]}

    source = tmp_path / "chats.jsonl"
    source.write_text("".join(json.dumps(chat(answer)) + "\n" for answer in ("delivery", "billing") * 5))
    call("attack", "apply", source, tmp_path / "out.jsonl", *WORD, "--messages", "messages")
    written = [json.loads(line)["messages"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert all(turns[:2] == chat("")["messages"][:2] for turns in written)
    poisoned = [turns for turns in written if "mn" in turns[2]["content"].split()]
    assert [turns[3]["content"] for turns in poisoned] == ["billing"]


def test_a_faulty_template_is_told_without_a_traceback(rows: Path, tmp_path: Path):
    said = call("attack", "apply", rows, tmp_path / "out.jsonl", *WORD, "--text", "{text", code=2)
    assert "is no template" in said
