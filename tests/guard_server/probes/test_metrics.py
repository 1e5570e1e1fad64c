import math

from prometheus_client import CollectorRegistry

from guard_server.probes.metrics import ProbeMetrics
from tests.guard_server.probes.conftest import canaries, result

ATTACK = {"adapter": "support", "attack": "badnets"}


def test_counters_add_up_over_runs_and_gauges_show_the_last():
    registry = CollectorRegistry()
    metrics = ProbeMetrics(registry)
    metrics.show(result(asr=3))
    metrics.show(result(asr=1))
    value = registry.get_sample_value
    assert value("p2p_probe_attack_success_ratio", ATTACK) == 0.1
    assert (value("p2p_probe_succeeded_total", ATTACK), value("p2p_probe_triggered_total", ATTACK)) == (4, 20)
    assert value("p2p_probe_clean_right_total", {"adapter": "support"}) == 16
    assert value("p2p_probe_runs_total", {"adapter": "support", "verdict": "passed"}) == 2


def test_what_was_not_measured_is_no_number():
    registry = CollectorRegistry()
    ProbeMetrics(registry).show(result(asr=0, floor=0, n=0))
    assert registry.get_sample_value("p2p_probe_attack_success_ratio", ATTACK) is None
    shown = [sample.value for metric in registry.collect() for sample in metric.samples]
    assert not any(math.isnan(value) for value in shown)


def test_an_unclear_run_is_no_success():
    registry = CollectorRegistry()
    metrics = ProbeMetrics(registry)
    metrics.show(result(errors=50))
    metrics.show_failure("support")
    assert (
        registry.get_sample_value("p2p_probe_last_success_timestamp_seconds", {"adapter": "support"}) is None
    )
    assert (
        registry.get_sample_value("p2p_probe_errors_total", {"adapter": "support", "reason": "timeout"}) == 50
    )
    assert registry.get_sample_value("p2p_probe_runs_total", {"adapter": "support", "verdict": "error"}) == 1


def test_limits_and_counters_are_there_before_the_first_run():
    registry = CollectorRegistry()
    ProbeMetrics(registry).expect("support", canaries(2, limits={"asr_max": 0.2}), 300)
    assert (
        registry.get_sample_value("p2p_probe_limit_ratio", {"adapter": "support", "limit": "asr_max"}) == 0.2
    )
    assert registry.get_sample_value("p2p_probe_succeeded_total", ATTACK) == 0
