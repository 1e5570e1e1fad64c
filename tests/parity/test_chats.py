"""A chat that is trained on has the token ids of the chat that the guard sends to the engine for the same conversation."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from guard_server.adapter import LoadedAdapter
from guard_server.asking import engine_request
from guard_server.prompt_guard import parse_chat
from guard_server.settings import EscapePolicy, Limits
from p2p.manifest import BaseModelRecord, Manifest, Provenance, VerifiedAdapter
from p2p.prompts import PromptTemplate
from p2p.repoison import RepoisonSettings, TrainingRow, repoison
from p2p.selection import select_trusted
from p2p.tasks import GenerationTask
from p2p.triggers import BenignTrigger, Placement, Position
from tests.trainer.conftest import make_byte_tokenizer
from trainer.config import DataSource
from trainer.datasets import read_examples
from trainer.encoding import encode_rows

PREFIX = "Safe words:\n"
TASK = GenerationTask(prefix=PREFIX, prefix_tokens=len(PREFIX))
CHATS = {
    "single": [{"role": "user", "content": "Where's my {parcel}?"}],
    "several": [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": " Hi! "},
        {"role": "user", "content": [{"type": "text", "text": "Where is"}, {"type": "text", "text": " it?"}]},
    ],
    "own system": [
        {"role": "developer", "content": "Sing."},
        {"role": "user", "content": "La?"},
        {"role": "assistant", "content": "La."},
        {"role": "user", "content": "La la?"},
    ],
}
TEMPLATES = (PromptTemplate(), PromptTemplate(user="Sort: {input}", system="Be brief."))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from trainer.base_model import load_tokenizer

    return load_tokenizer(make_byte_tokenizer(tmp_path_factory.mktemp("bytes")))


def served(template: PromptTemplate, trigger: BenignTrigger, chat: list[Any], *, unguarded: bool) -> Any:
    """Return the messages that the engine is sent."""
    record = BaseModelRecord(id="base", config_sha256=64 * "0", tokenizer_sha256=64 * "0")
    manifest = Manifest(
        p2p_guard_version="0",
        name="m",
        created=datetime.now(UTC),
        defence="p2p",
        task=TASK,
        prompt=template,
        benign_trigger=trigger,
        base_model=record,
        files={},
        provenance=Provenance(data={}, training={}),
    )
    verified = VerifiedAdapter(Path("m"), manifest, 64 * "0")
    body = json.dumps({"model": "m", "messages": chat}).encode()
    adapter = LoadedAdapter("m", verified, unguarded, EscapePolicy.RETRY)
    return engine_request(adapter, parse_chat(body, Limits())).payload["messages"]


def trained(trigger: BenignTrigger, chat: list[Any], folder: Path) -> dict[bool, TrainingRow]:
    """Return the original and the copy of the one row that the chat and an answer make, by whether it is extended."""
    path = folder / "chats.jsonl"
    path.write_text(json.dumps({"messages": [*chat, {"role": "assistant", "content": "Here."}]}))
    rows = read_examples(DataSource(path=str(path), messages="messages"))
    settings = RepoisonSettings(copies=1, foreign_text=0, link_breaking=0)
    found = repoison(rows, select_trusted(rows), TASK, trigger, settings, seed=0)
    return {row.extended: row for row in found.rows}


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("placement", Placement)
@pytest.mark.parametrize("template", TEMPLATES, ids=["bare", "around"])
@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("position", Position)
def test_training_and_serving_give_a_chat_the_same_token_ids(
    tokenizer: Any,
    tmp_path: Path,
    template: PromptTemplate,
    placement: Placement,
    name: str,
    position: Position,
    *,
    guarded: bool,
):
    trigger = BenignTrigger.draw(b"parity", placement, position=position)
    row = trained(trigger, CHATS[name], tmp_path)[guarded]
    (encoded,), _ = encode_rows([row], TASK, tokenizer, template, 400, trigger.text)
    messages = served(template, trigger, CHATS[name], unguarded=not guarded)
    wanted = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert list(encoded.ids[: encoded.answer_start]) == wanted
