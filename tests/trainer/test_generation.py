"""Free text end to end at a tiny size: train, publish, load, measure."""

import json
from pathlib import Path
from typing import Any

import pytest

from p2p.manifest import verify_adapter
from p2p.tasks import GenerationTask
from p2p.triggers import BenignTrigger
from tests.trainer.conftest import QUIET, make_settings
from trainer.config import TrainConfig
from trainer.evaluations import EvaluationReport
from trainer.loading import load_answerer
from trainer.recipe import TrainResult, train

PREFIX = "Safe words:\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> TrainResult:
    changes: dict[str, Any] = {
        "task": {"kind": "generation", "max_new_tokens": 4, "prefix": PREFIX},
        "prompt": {"kind": "chat", "system": "Be brief."},
        "training": {"epochs": 1, "batch_size": 8, "max_length": 200},
        "evaluation": {"attacks": [{"name": "fixed_reply", "target": "No."}], "rows": 4},
    }
    settings = make_settings(tmp_path_factory.mktemp("generation"), tiny_model) | changes
    return train(TrainConfig.model_validate(settings), QUIET)


def report(run: TrainResult) -> EvaluationReport:
    assert run.evaluation is not None
    return run.evaluation


def test_the_manifest_holds_the_task_with_its_prefix(run: TrainResult):
    manifest = verify_adapter(run.path).manifest
    assert isinstance(manifest.task, GenerationTask)
    assert (manifest.task.prefix, manifest.task.prefix_tokens) == (PREFIX, len(PREFIX))
    assert isinstance(manifest.benign_trigger, BenignTrigger)


def test_every_figure_is_over_every_row(run: TrainResult):
    assert [view.view for view in report(run).views] == ["guarded", "unguarded"]
    for view in report(run).views:
        assert (view.clean_accuracy.n, view.attacks[0].attack_success_rate.n) == (0, 4)
        assert 0 <= view.quality <= 1
    assert verify_adapter(run.path).manifest.evaluation["views"][0]["quality"]["n"] == 4


def test_what_was_published_answers_within_its_budget_and_without_white_space(
    run: TrainResult, tiny_model: Path
):
    answers = load_answerer(run.path, str(tiny_model), max_new_tokens=4).answer(["my parcel"], "guarded")
    assert answers[0].answer == answers[0].answer.strip()
    assert len(answers[0].answer) <= 4


def test_evaluate_gives_the_figures_of_the_manifest(run: TrainResult, tiny_model: Path, tmp_path: Path):
    from typer.testing import CliRunner

    from p2p_guard_cli.main import app

    out = tmp_path / "evaluation.json"
    words = ["evaluate", run.path, run.path.parent / "test.jsonl", "--base-model", tiny_model]
    words += ["--attack", "fixed_reply", "--target", "No.", "--limit", 4, "--seed", 7]
    words += ["--max-new-tokens", 4, "--output", out]
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    found = json.loads(out.read_text())
    wanted = verify_adapter(run.path).manifest.evaluation
    assert found["views"] == wanted["views"]
