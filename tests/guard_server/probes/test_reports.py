import io
import json
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console

from guard_server.probes.history import History
from guard_server.probes.junit import junit_xml
from guard_server.probes.report import history_table, probe_table, trend_table, write_report
from guard_server.probes.result import ProbeResult
from tests.guard_server.probes.conftest import result


def shown(*tables: object) -> str:
    screen = io.StringIO()
    Console(file=screen, width=200).print(*tables)
    return screen.getvalue()


def parsed(found: ProbeResult) -> ET.Element:
    return ET.fromstring(junit_xml(found))[0]  # noqa: S314 - our own


def test_the_json_has_counts_intervals_and_the_verdict(tmp_path: Path):
    write_report(tmp_path / "probe.json", result(asr=3, asr_max=0.1))
    said = json.loads((tmp_path / "probe.json").read_text())
    # 3 of 10: the Wilson interval is 0.108 to 0.603 (R, binom::binom.wilson).
    asr = said["attacks"]["badnets"]["asr"]
    assert (asr["k"], asr["n"], round(asr["low"], 3), round(asr["high"], 3)) == (3, 10, 0.108, 0.603)
    assert (said["passed"], said["verdict"], len(said["broken_limits"])) == (False, "failed", 1)


def test_the_junit_file_has_a_test_a_limit():
    suite = parsed(result(asr=3, errors=30, asr_max=0.1, clean_accuracy_min=0.5))
    assert [suite.get(name) for name in ("tests", "failures", "errors")] == ["3", "1", "1"]
    kinds = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert kinds == {
        "clean_accuracy_min": ["system-out"],
        "asr_max badnets": ["failure"],
        "error_rate_max": ["error"],
    }


def test_a_run_without_limits_is_one_test_that_passes():
    suite = parsed(result())
    assert (suite.get("tests"), suite.get("failures"), len(list(suite.iter("testcase")))) == ("1", "0", 1)


def test_the_tables_show_figures_runs_and_trend(tmp_path: Path):
    history = History(tmp_path / "h.sqlite")
    for hits in (0, 0, 0, 9):
        history.add(result(asr=hits))
    runs = history.last()
    assert "0.900 (9/10" in shown(probe_table(result(asr=9)))
    assert "ASR badnets" in shown(trend_table(runs))
    assert "rising ▁▁▁█" in shown(trend_table(runs))
    assert shown(history_table(runs)).count("support") == 4
