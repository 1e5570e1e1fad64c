import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from guard_server.errors import GuardConfigError
from guard_server.probes.history import History
from tests.guard_server.probes.conftest import result


def test_runs_come_back_in_order_with_their_counts(tmp_path: Path):
    history = History(tmp_path / "h.sqlite")
    first = result(asr=1)
    for at, hits in enumerate((1, 5, 3)):
        history.add(result(asr=hits)._replace(started=first.started + timedelta(hours=at)))
    assert [run.attacks["badnets"].asr.k for run in history.last("support", 2)] == [5, 3]
    assert history.last("support", 1)[0].clean_accuracy == first.figures.clean_accuracy


def test_one_adapter_or_all(tmp_path: Path):
    history = History(tmp_path / "h.sqlite")
    history.add(result())
    history.add(result()._replace(adapter="other"))
    assert [run.adapter for run in history.last("other")] == ["other"]
    assert len(history.last()) == 2


def test_old_runs_go(tmp_path: Path):
    history = History(tmp_path / "h.sqlite", keep_days=1)
    history.add(result())
    history.add(result()._replace(started=result().started + timedelta(days=2)))
    assert len(history.last()) == 1


def test_two_writers_wait_for_each_other(tmp_path: Path):
    one, two = History(tmp_path / "h.sqlite"), History(tmp_path / "h.sqlite")
    for _ in range(5):
        one.add(result())
        two.add(result())
    assert len(one.last()) == 10


@pytest.mark.parametrize("content", [None, b"no database at all, but long enough to be looked at" * 30])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes | None):
    if content:
        (tmp_path / "h.sqlite").write_bytes(content)
    with pytest.raises(GuardConfigError, match=r"h\.sqlite"):
        History(tmp_path / "h.sqlite").last()


def test_a_later_versions_file_is_refused(tmp_path: Path):
    with sqlite3.connect(tmp_path / "h.sqlite") as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(GuardConfigError, match="later p2p-guard"):
        History(tmp_path / "h.sqlite").add(result())
