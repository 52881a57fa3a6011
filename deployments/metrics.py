"""Prometheus metrics.

Each router counts its own model; the gateway merges what the routers counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.metrics_core import Metric

from cluster.receipt import Receipt
from deployments.engine import EngineResult

REQUEST_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1200, 1800, 3600)
"""Seconds; a long video takes up to an hour."""

RATIO_BUCKETS = (0.25, 0.5, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 2, 4)

_WHERE = ["model", "pool", "tier"]


class RouterMetrics:
    """The metrics of one model, in a registry of their own."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "dit_serve_requests",
            "Requests by outcome; pool and tier are empty where none was chosen",
            [*_WHERE, "outcome"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "dit_serve_request_seconds",
            "Seconds from the router's door to the result",
            _WHERE,
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._queue_seconds = Histogram(
            "dit_serve_queue_seconds",
            "Seconds waited for a replica",
            ["model"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._queue_requests = Gauge(
            "dit_serve_queue_requests",
            "Requests that wait for a replica",
            ["model"],
            registry=registry,
        )
        self._steps = Counter(
            "dit_serve_steps",
            "Denoising steps, computed or cached",
            [*_WHERE, "kind"],
            registry=registry,
        )
        self._stage_seconds = Histogram(
            "dit_serve_stage_seconds",
            "Seconds in a stage of the pipeline",
            [*_WHERE, "stage"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._forecast_error = Histogram(
            "dit_serve_forecast_error_ratio",
            "Measured over forecast engine seconds",
            _WHERE,
            buckets=RATIO_BUCKETS,
            registry=registry,
        )
        self._deadline = Counter(
            "dit_serve_deadline",
            "Requests with a deadline, by whether it was met",
            ["model", "met"],
            registry=registry,
        )
        self._tier_served = Counter(
            "dit_serve_tier_served",
            "Requests by tier asked and served",
            ["model", "requested", "served"],
            registry=registry,
        )
        self._replicas = Gauge(
            "dit_serve_replicas",
            "Replicas by state: idle or busy",
            ["model", "pool", "state"],
            registry=registry,
        )

    def served(self, receipt: Receipt, result: EngineResult) -> None:
        """Counts a finished request by its receipt."""
        where = (receipt.model, receipt.pool, receipt.tier_served)
        self._requests.labels(*where, "ok").inc()
        self._request_seconds.labels(*where).observe(receipt.total_s)
        self._queue_seconds.labels(receipt.model).observe(receipt.queue_s)
        self._steps.labels(*where, "computed").inc(receipt.steps_computed)
        self._steps.labels(*where, "cached").inc(receipt.steps_cached)
        for stage, seconds in (
            ("encode", result.encode_s),
            ("denoise", result.denoise_s),
            ("decode", result.decode_s),
        ):
            self._stage_seconds.labels(*where, stage).observe(seconds)
        if receipt.forecast_s:
            self._forecast_error.labels(*where).observe(result.engine_s / receipt.forecast_s)
        if receipt.deadline_met is not None:
            self._deadline.labels(receipt.model, str(receipt.deadline_met).lower()).inc()
        self._tier_served.labels(receipt.model, receipt.tier_requested, receipt.tier_served).inc()

    def not_served(
        self, outcome: str, *, had_deadline: bool, pool: str = "", tier: str = ""
    ) -> None:
        """Counts a request that ended without a result.

        `outcome` is the error's code, or "cancelled".
        """
        self._requests.labels(self._model, pool, tier, outcome).inc()
        if had_deadline and outcome != "cancelled":
            self._deadline.labels(self._model, "false").inc()

    def now(self, waiting: int, pools: Iterable[tuple[str, int, int]]) -> list[Metric]:
        """Everything, with the gauges set.

        These are the requests waiting, and (pool, idle replicas, busy replicas) for each pool.
        """
        self._queue_requests.labels(self._model).set(waiting)
        for pool, idle, busy in pools:
            self._replicas.labels(self._model, pool, "idle").set(idle)
            self._replicas.labels(self._model, pool, "busy").set(busy)
        return list(self._registry.collect())


class _Merged:
    """Metrics of several routers as one collector: each family once, with everybody's samples."""

    def __init__(self, parts: Iterable[Iterable[Metric]]) -> None:
        self._families: dict[str, Metric] = {}
        for part in parts:
            for metric in part:
                known = self._families.setdefault(metric.name, metric)
                if known is not metric:
                    known.samples.extend(metric.samples)

    def collect(self) -> Iterator[Metric]:
        yield from self._families.values()


def exposition(parts: Iterable[Iterable[Metric]]) -> bytes:
    """The text that Prometheus scrapes, of what several routers counted."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(parts))
    Info("dit_serve_build", "The version that runs", registry=registry).info(
        {"version": version("dit-serve")}
    )
    return generate_latest(registry)
