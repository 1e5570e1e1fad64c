from collections.abc import Callable
from pathlib import Path

from guard_server.probes.history import History
from guard_server.probes.result import ProbeResult
from guard_server.status.probe_log import KEPT, ProbeLog
from p2p.metrics.rate import Rate
from tests.guard_server.probes.conftest import make_result

__all__ = ["make_result"]
Make = Callable[..., ProbeResult]


def test_runs_of_this_process_are_remembered_up_to_a_bound(make_result: Make):
    log = ProbeLog()
    for hits in range(KEPT + 3):
        log.note(make_result(hits % 10, 0))
    runs = log.noted()["support"]
    assert len(runs) == KEPT
    assert runs[-1].attacks["badnets"].asr == Rate(k=(KEPT + 2) % 10, n=10)
    assert log.read(["support"]) is None


def test_runs_of_a_file_are_read_the_oldest_first(tmp_path: Path, make_result: Make):
    history = History(tmp_path / "runs.sqlite")
    for hits in (1, 2):
        history.add(make_result(hits, 0))
    found = ProbeLog(history).read(["support", "other"])
    assert found is not None
    assert [run.attacks["badnets"].asr.k for run in found["support"]] == [1, 2]
    assert found["other"] == ()


def test_a_file_that_is_not_there_or_broken_is_none(tmp_path: Path):
    path = tmp_path / "runs.sqlite"
    assert ProbeLog(History(path)).read(["support"]) is None
    path.write_bytes(b"no database, and longer than a header of one" * 20)
    assert ProbeLog(History(path)).read(["support"]) is None


def test_a_row_that_is_no_report_is_none(tmp_path: Path, make_result: Make):
    import contextlib
    import sqlite3

    path = tmp_path / "runs.sqlite"
    History(path).add(make_result())
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE runs SET report = '{}'")
    assert ProbeLog(History(path)).read(["support"]) is None
