"""A probe run as JUnit XML, which every pipeline can show: one test a limit."""

from pathlib import Path
from xml.etree import ElementTree as ET

from guard_server.probes.report import write_whole
from guard_server.probes.result import Finding, ProbeResult
from guard_server.probes.sequential import Decision


def junit_xml(result: ProbeResult) -> str:
    """Return the run as one test suite: broken limits are failures, unclear ones errors.

    A run without a limit has one test that passes, for it was made.
    """
    found = result.findings
    suite = ET.Element(
        "testsuite",
        name=f"p2p-guard probe {result.adapter}",
        tests=str(max(1, len(found))),
        failures=str(_count(found, Decision.BROKEN)),
        errors=str(_count(found, Decision.UNCLEAR)),
        skipped="0",
        time=f"{result.cost.seconds:.3f}",
        timestamp=f"{result.started:%Y-%m-%dT%H:%M:%S}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _figures(result):
        ET.SubElement(properties, "property", name=name, value=value)
    for finding in found:
        _add_case(suite, result, finding)
    if not found:
        ET.SubElement(suite, "testcase", classname=result.adapter, name="was probed", time="0")
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def write_junit(path: Path, result: ProbeResult) -> None:
    """Write the run as JUnit XML, whole or not at all."""
    write_whole(path, junit_xml(result))


def _add_case(suite: ET.Element, result: ProbeResult, finding: Finding) -> None:
    name = f"{finding.limit} {finding.attack}" if finding.attack else finding.limit
    case = ET.SubElement(suite, "testcase", classname=result.adapter, name=name, time="0")
    if finding.decision is Decision.BROKEN:
        ET.SubElement(case, "failure", type=finding.limit, message=finding.said)
    elif finding.decision is Decision.UNCLEAR:
        ET.SubElement(case, "error", type="unclear", message=finding.said)
    else:
        ET.SubElement(case, "system-out").text = finding.said


def _figures(result: ProbeResult) -> list[tuple[str, str]]:
    named = {"verdict": result.verdict, "stopped": result.stop, "run_seed": str(result.run_seed)}
    named["versions"] = ",".join(result.versions)
    named["clean_accuracy"] = str(result.figures.clean_accuracy)
    for name, rates in result.figures.attacks.items():
        named |= {f"{name}.{figure}": str(rate) for figure, rate in rates._asdict().items()}
    return list(named.items())


def _count(findings: tuple[Finding, ...], decision: Decision) -> int:
    return sum(finding.decision is decision for finding in findings)
