"""The rules through promtool, and whether the cases leave an alert out."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.names import known, named

RULES = Path("helm/p2p-guard/files/rules.yaml")
CASES = sorted(Path("tests/ops/rules").glob("*.test.yaml"))
GUIDE = Path("docs/alerts.md")


def groups() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
    return found


def alerts() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def records() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"] if "record" in rule]


def promtool(
    tools: Path, *arguments: str | Path, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    command = [str(tools / "promtool"), *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=120)


def test_the_rules_pass_every_lint(prometheus_tools: Path):
    done = promtool(prometheus_tools, "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(alerts()) + len(records())} rules found" in done.stdout


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_the_cases_fire_and_do_not_fire_as_they_say(prometheus_tools: Path, cases: Path):
    done = promtool(prometheus_tools, "test", "rules", cases)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_that_never_fires_is_noticed(prometheus_tools: Path, tmp_path: Path, alert: dict[str, Any]):
    assert changed_rules_fail(prometheus_tools, tmp_path, alert, f"({alert['expr']}) > 1e300")


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_that_always_fires_is_noticed(prometheus_tools: Path, tmp_path: Path, alert: dict[str, Any]):
    # Where it fires anyway it stays as it is, so that only a case in which it must not fire can notice.
    labels = "adapter, attack, instance, reason"
    everything = f'count by ({labels}) ({{__name__=~"p2p_.*"}})'
    also = f"(({alert['expr']}) or on ({labels}) {everything})"
    assert changed_rules_fail(prometheus_tools, tmp_path, alert, also)


def changed_rules_fail(tools: Path, home: Path, alert: dict[str, Any], expr: str) -> bool:
    """Whether the cases fail when one alert has another expression."""
    content = yaml.safe_load(RULES.read_text())
    for rule in (rule for group in content["groups"] for rule in group["rules"]):
        if rule.get("alert") == alert["alert"]:
            rule["expr"] = expr
            # Held back, an alert that fires too soon would pass for one that does not fire.
            rule.pop("for", None)
    (home / "rules.yaml").write_text(yaml.safe_dump(content))
    concerned = [path for path in CASES if alert["alert"] in path.read_text()]
    for path in concerned:
        given = yaml.safe_load(path.read_text())
        given["tests"] = [test for test in given["tests"] if alert["alert"] in str(test)]
        (home / path.name).write_text(yaml.safe_dump(given | {"rule_files": [str(home / "rules.yaml")]}))
    return promtool(tools, "test", "rules", *(home / path.name for path in concerned)).returncode != 0


@pytest.mark.parametrize(
    "rule", [*alerts(), *records()], ids=lambda rule: rule.get("alert") or rule["record"]
)
def test_every_metric_that_a_rule_reads_exists(rule: dict[str, Any]):
    assert named(rule["expr"]) <= known().keys()


def test_each_alert_says_how_severe_it_is_and_the_guide_what_to_do():
    guide = GUIDE.read_text()
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert {"summary", "description"} <= alert["annotations"].keys()
        assert f"## {alert['alert']}\n" in guide
    assert guide.count("\n## ") == len(alerts())
