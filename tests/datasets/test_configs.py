"""The shipped configs on the published data: the commands in a config's header do what the config then reads."""

import os
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from p2p_guard_cli.main import app
from trainer.config import ClassificationSettings, TrainConfig, load_config
from trainer.datasets import Splits, load_splits

FOLDER = Path(os.environ.get("P2P_DATASETS", "../shared/datasets"))
CONFIGS = Path("trainer/configs")
pytestmark = [
    pytest.mark.datasets,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="P2P_DATASETS names no folder of data sets"),
]


def commands(config: Path, runs: Path) -> dict[str, list[str]]:
    """Return the words of the header's commands by their verb, with the data's folder and the runs' put in."""
    header = re.sub(r"\\\n#\s+", "", config.read_text())
    lines = [
        line.removeprefix("#").strip() for line in header.splitlines() if line.startswith("#   p2p-guard")
    ]
    places = {"$SST2": str(FOLDER / "sst2"), "$DATA": str(FOLDER), "runs/": f"{runs}/"}
    for name, place in places.items():
        lines = [line.replace(name, place) for line in lines]
    return {words[1]: words[1:] for words in map(shlex.split, lines)}


def prepared(name: str, runs: Path) -> tuple[TrainConfig, Splits]:
    """Run the attack of a config's header and read the splits that its training would."""
    path = CONFIGS / f"{name}.yaml"
    words = commands(path, runs)
    done = CliRunner().invoke(app, words["attack"])
    assert done.exit_code == 0, done.output
    given = words["train"]
    sets = [given[at + 1].split("=", 1) for at, word in enumerate(given) if word == "--set"]
    config = load_config(path, dict(sets) | {"data.train.path": words["attack"][3]})
    labels = config.task.labels if isinstance(config.task, ClassificationSettings) else None
    return config, load_splits(config.data, labels, classify=labels is not None)


@pytest.mark.parametrize(
    ("name", "train", "trusted", "test"),
    [
        ("sst2_word_trigger", 2400, 300, 1821),
        ("agnews", 2400, 150, 7600),
        ("cr", 2496, 150, 775),
        ("mawps", 1898, 150, 238),
        ("svamp", 600, 100, 300),
        ("gsm8k", 2400, 150, 1319),
        ("dialogsum", 400, 0, 500),
        ("instruct_refusal", 350, 0, 199),
    ],
)
def test_a_config_reads_what_its_header_makes(name: str, train: int, trusted: int, test: int, tmp_path: Path):
    _, splits = prepared(name, tmp_path)
    assert (len(splits.train), len(splits.trusted), len(splits.test) + splits.trained_on) == (
        train,
        trusted,
        test,
    )
    assert not {row.text for row in splits.trusted} & {row.text for row in splits.test}
