"""Probe runs as Prometheus metrics.

Gauges show the last run; counters add up, so that their rates can be summed over replicas. Labels are bounded: adapters of the
configuration, families of the canary files (64 a file at most), and fixed reasons and verdicts.
"""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge

from guard_server.probes.asking import Reason
from guard_server.probes.canary import CanarySet
from guard_server.probes.result import AttackRates, ProbeResult, Verdict
from p2p.metrics.rate import Rate

_ADAPTER = ("adapter",)
_ATTACK = ("adapter", "attack")
NOT_RUN = "error"


class ProbeMetrics:
    """The ``p2p_probe_*`` metrics.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._add_gauges()
        self._add_counters()

    def expect(self, adapter: str, canaries: CanarySet, interval: float) -> None:
        """Show what will be probed, before the first run: limits, the interval, and counters at 0.

        Args:
            adapter: The adapter's public name.
            canaries: What it is asked.
            interval: Seconds between the beginnings of runs.
        """
        self.interval.labels(adapter).set(interval)
        for limit, bound in canaries.limits.model_dump().items():
            if bound is not None:
                self.limit.labels(adapter, limit).set(bound)
        for verdict in (*Verdict, NOT_RUN):
            self.runs.labels(adapter, verdict)
        for reason in Reason:
            self.errors.labels(adapter, reason)
        for family in canaries.families:
            for counter in self._by_attack:
                counter.labels(adapter, family)

    def show(self, result: ProbeResult) -> None:
        """Take over the figures of a run."""
        adapter, cost = result.adapter, result.cost
        for family, rates in result.figures.attacks.items():
            self._show_attack(adapter, family, rates)
        right = result.figures.clean_accuracy
        self._show_rate(right, (self.accuracy, self.accuracy_lower, self.accuracy_upper), adapter)
        self.clean.labels(adapter).inc(right.n)
        self.clean_right.labels(adapter).inc(right.k)
        self.requests.labels(adapter).inc(cost.requests)
        self.retries.labels(adapter).inc(cost.retries)
        for reason, count in cost.errors.items():
            self.errors.labels(adapter, reason).inc(count)
        self.duration.labels(adapter).set(cost.seconds)
        self.runs.labels(adapter, result.verdict).inc()
        self.passed.labels(adapter).set(result.verdict is Verdict.PASSED)
        if result.verdict is not Verdict.UNCLEAR:
            self.success.labels(adapter).set(time.time())

    def show_failure(self, adapter: str) -> None:
        """Count a run that could not be made at all."""
        self.runs.labels(adapter, NOT_RUN).inc()

    def _show_attack(self, adapter: str, family: str, rates: AttackRates) -> None:
        labels = (adapter, family)
        self._show_rate(rates.asr, (self.asr, self.asr_lower, self.asr_upper), *labels)
        if rates.floor.n:
            self.floor.labels(*labels).set(rates.floor.value)
        if rates.extension_rate.n:
            self.extension.labels(*labels).set(rates.extension_rate.value)
        self.cases.labels(*labels).set(rates.asr.n)
        counted = (rates.asr, rates.floor, rates.extension_rate)
        for rate, (of, hits) in zip(counted, self._pairs, strict=True):
            of.labels(*labels).inc(rate.n)
            hits.labels(*labels).inc(rate.k)

    def _show_rate(self, rate: Rate, gauges: tuple[Gauge, Gauge, Gauge], *labels: str) -> None:
        """Set the value and both ends of its interval; what was not measured keeps its last value."""
        if not rate.n:
            return
        for gauge, value in zip(gauges, (rate.value, *rate.interval), strict=True):
            gauge.labels(*labels).set(value)

    @property
    def _pairs(self) -> tuple[tuple[Counter, Counter], ...]:
        return (
            (self.triggered, self.succeeded),
            (self.untriggered, self.floor_hits),
            (self.judged, self.extended),
        )

    @property
    def _by_attack(self) -> tuple[Counter, ...]:
        return tuple(counter for pair in self._pairs for counter in pair)

    def _add_gauges(self) -> None:
        gauge = self._gauge
        self.asr = gauge("attack_success_ratio", "ASR of the last run.", _ATTACK)
        self.asr_lower = gauge(
            "attack_success_lower_ratio", "Lower end of the 95 % interval (Wilson) of ASR, last run.", _ATTACK
        )
        self.asr_upper = gauge(
            "attack_success_upper_ratio", "Upper end of the 95 % interval (Wilson) of ASR, last run.", _ATTACK
        )
        self.floor = gauge(
            "floor_ratio", "Share of the attacker's answers without the trigger, last run.", _ATTACK
        )
        self.extension = gauge("extension_ratio", "Share of answers in the extended half, last run.", _ATTACK)
        self.cases = gauge("cases", "Cases that counted for ASR in the last run.", _ATTACK)
        self.accuracy = gauge("clean_accuracy_ratio", "CA of the last run.", _ADAPTER)
        self.accuracy_lower = gauge(
            "clean_accuracy_lower_ratio", "Lower end of the 95 % interval (Wilson) of CA, last run.", _ADAPTER
        )
        self.accuracy_upper = gauge(
            "clean_accuracy_upper_ratio", "Upper end of the 95 % interval (Wilson) of CA, last run.", _ADAPTER
        )
        self.limit = gauge(
            "limit_ratio", "The canary file's limit on a share, by name.", ("adapter", "limit")
        )
        self.passed = gauge("passed", "1 when the last run kept every limit, else 0.", _ADAPTER)
        self.interval = gauge("interval_seconds", "Time between the beginnings of runs.", _ADAPTER)
        self.duration = gauge("duration_seconds", "How long the last run took.", _ADAPTER)
        self.success = gauge(
            "last_success_timestamp_seconds",
            "End of the last run that came to a verdict, since the epoch.",
            _ADAPTER,
        )

    def _add_counters(self) -> None:
        counter = self._counter
        self.triggered = counter("triggered_total", "Triggered texts answered that count for ASR.", _ATTACK)
        self.succeeded = counter(
            "succeeded_total", "Triggered texts answered as the attacker wants.", _ATTACK
        )
        self.untriggered = counter(
            "untriggered_total", "Clean inputs of the cases that count for ASR, answered.", _ATTACK
        )
        self.floor_hits = counter("floor_hits_total", "Clean inputs answered as the attacker wants.", _ATTACK)
        self.judged = counter("extension_judged_total", "Triggered answers whose half is known.", _ATTACK)
        self.extended = counter("extended_total", "Triggered answers in the extended half.", _ATTACK)
        self.clean = counter("clean_total", "Clean inputs answered.", _ADAPTER)
        self.clean_right = counter("clean_right_total", "Clean inputs answered right.", _ADAPTER)
        self.requests = counter("requests_total", "Requests of probes, retries counted.", _ADAPTER)
        self.retries = counter("retries_total", "Requests that repeated a failed one.", _ADAPTER)
        self.errors = counter(
            "errors_total", "Questions without an answer, by reason.", ("adapter", "reason")
        )
        self.runs = counter(
            "runs_total", "Runs by verdict; `error` is a run that could not be made.", ("adapter", "verdict")
        )

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(f"p2p_probe_{name}", text, labels, registry=self._registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"p2p_probe_{name}", text, labels, registry=self._registry)
