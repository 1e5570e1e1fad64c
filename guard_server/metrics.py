"""What Prometheus sees of the guard. Labels are bounded: adapters of the configuration, fixed endpoints and outcomes."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from guard_server.exposition import Exposition

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_OVERHEAD = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)
# Histograms are most of the series: one for each adapter is what a thousand adapters allow, one for each endpoint as well is not.
_ADAPTER = ("adapter",)
UNKNOWN_ADAPTER = "unknown"


class GuardMetrics:
    """All metrics of one guard.

    Args:
        registry: Where they are registered; each guard has its own.
        exposition: How they are shown; by default the registry alone.
    """

    def __init__(self, registry: CollectorRegistry, exposition: Exposition | None = None) -> None:
        self.registry = registry
        self.exposition = exposition or Exposition(registry)
        self._versions: dict[str, str] = {}
        self._add_traffic()
        self._add_adapters()
        self._add_limits()
        self._add_engines()
        self._add_views()
        self._add_probes()

    def show_version(self, adapter: str, version: str | None) -> None:
        """Show which version of an adapter is served; None for none."""
        if before := self._versions.pop(adapter, None):
            self.adapter_info.remove(adapter, before)
        if version:
            self._versions[adapter] = version
            self._expect(adapter)
            self.adapter_info.labels(adapter, version).set(1)

    def _expect(self, adapter: str) -> None:
        """Show an adapter's counters from zero on: a rate can't be told of a counter that begins with its first event."""
        for counter in (
            self.adapter_switches,
            self.adapter_rollbacks,
            self.view_comparisons,
            self.view_disagreements,
            self.view_dropped,
        ):
            counter.labels(adapter)

    def _add_traffic(self) -> None:
        self.requests = Counter(
            "p2p_guard_requests_total",
            "Requests by outcome.",
            ("adapter", "endpoint", "outcome"),
            registry=self.registry,
        )
        self.duration = Histogram(
            "p2p_guard_request_duration_seconds",
            "From the request's arrival to its last byte.",
            _ADAPTER,
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.overhead = Histogram(
            "p2p_guard_overhead_seconds",
            "Time in the guard outside the engine, for whole answers.",
            _ADAPTER,
            buckets=_OVERHEAD,
            registry=self.registry,
        )
        self.first_token = Histogram(
            "p2p_guard_time_to_first_token_seconds",
            "From the request's arrival to the first projected text of a stream.",
            _ADAPTER,
            buckets=_SECONDS,
            registry=self.registry,
        )

    def _add_adapters(self) -> None:
        self.adapter_switches = Counter(
            "p2p_guard_adapter_switches_total",
            "How often a new version took over.",
            ("adapter",),
            registry=self.registry,
        )
        self.adapter_rollbacks = Counter(
            "p2p_guard_adapter_rollbacks_total",
            "How often the version before took over again.",
            ("adapter",),
            registry=self.registry,
        )
        self.adapter_refusals = Counter(
            "p2p_guard_adapter_refusals_total",
            "Versions that were not served, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.adapter_info = Gauge(
            "p2p_guard_adapter_info",
            "1 for the version that is served.",
            ("adapter", "version"),
            registry=self.registry,
        )
        self.config_reloads = Counter(
            "p2p_guard_config_reloads_total", "Reloads of guard.yaml.", ("result",), registry=self.registry
        )
        self.config_reload_success = Gauge(
            "p2p_guard_config_last_reload_success",
            "1 when guard.yaml, as it is now, is what is served.",
            registry=self.registry,
        )
        self.config_reload_success.set(1)

    def _add_limits(self) -> None:
        self.in_flight = Gauge(
            "p2p_guard_requests_in_flight", "Requests being answered.", registry=self.registry
        )
        self.in_flight_limit = Gauge(
            "p2p_guard_requests_in_flight_limit", "From how many on requests get 429.", registry=self.registry
        )
        self.rate_limited = Counter(
            "p2p_guard_rate_limited_total",
            "Requests answered 429, by the limit that they met: requests or probes in flight, or the rate of their key.",
            ("limit",),
            registry=self.registry,
        )

    def _add_engines(self) -> None:
        self.ready = Gauge("p2p_guard_ready", "1 when the guard is ready.", registry=self.registry)
        self.engine_up = Gauge(
            "p2p_guard_engine_up",
            "1 when every engine process answers its health route.",
            registry=self.registry,
        )
        self.engine_restarts = Counter(
            "p2p_guard_engine_restarts_total",
            "How often an engine was started again.",
            registry=self.registry,
        )
        self.engine_url_up = Gauge(
            "p2p_guard_engine_url_up",
            "1 when this engine (by its place in engine.urls) answers and serves every adapter.",
            ("engine",),
            registry=self.registry,
        )
        self.engine_exposed = Gauge(
            "p2p_guard_engine_exposures",
            "Ways found at its start to reach this engine past the guard, or to read what it is asked.",
            ("engine",),
            registry=self.registry,
        )

    def _add_views(self) -> None:
        self.view_comparisons = Counter(
            "p2p_guard_view_comparisons_total",
            "Requests that were asked with and without the benign trigger.",
            ("adapter",),
            registry=self.registry,
        )
        self.view_disagreements = Counter(
            "p2p_guard_view_disagreements_total",
            "Those of them whose two answers differ.",
            ("adapter",),
            registry=self.registry,
        )
        self.view_dropped = Counter(
            "p2p_guard_view_dropped_total",
            "Background comparisons that were chosen and not made: the queue was full, or the engine failed.",
            ("adapter",),
            registry=self.registry,
        )

    def _add_probes(self) -> None:
        self.probe_requests = Counter(
            "p2p_guard_probe_requests_total",
            "Requests with a prober's key, by outcome; no other metric but the readiness counts them.",
            ("adapter", "endpoint", "outcome"),
            registry=self.registry,
        )
        self.probes_in_flight = Gauge(
            "p2p_guard_probe_requests_in_flight",
            "Requests with a prober's key being answered.",
            registry=self.registry,
        )
