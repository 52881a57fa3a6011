"""Prometheus metrics.

Each router counts its own model; the gateway merges what the routers counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.metrics_core import Metric

from cluster.config import ModelConfig
from cluster.pool_load import PoolLoad
from cluster.receipt import Receipt
from deployments.engine import EngineResult

REQUEST_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1200, 1800, 3600)
"""Seconds; a long video takes up to an hour."""

RATIO_BUCKETS = (0.25, 0.5, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 2, 4)

AUDIT_WEIGHT = 0.2
"""Of the newest audit in the running mean."""

_WHERE = ["model", "pool", "tier"]


class RouterMetrics:
    """The metrics of one model, in a registry of their own."""

    def __init__(self, model: ModelConfig) -> None:
        self._model = model.name
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
        self._backlog_seconds = Gauge(
            "dit_serve_backlog_seconds",
            "Forecast seconds that a pool's replicas need for what waits and runs",
            ["model", "pool"],
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
            "Measured over forecast seconds of the replica",
            _WHERE,
            buckets=RATIO_BUCKETS,
            registry=registry,
        )
        self._deadline = Counter(
            "dit_serve_deadline",
            "Requests admitted with a deadline, by whether it was met",
            ["model", "met"],
            registry=registry,
        )
        self._tier_served = Counter(
            "dit_serve_tier_served",
            "Requests by tier asked and served",
            ["model", "requested", "served"],
            registry=registry,
        )
        self._tier_psnr = Gauge(
            "dit_serve_tier_psnr_db",
            "PSNR of audited requests against none, a running mean",
            _WHERE,
            registry=registry,
        )
        self._tier_speedup = Gauge(
            "dit_serve_tier_speedup",
            "Speed of audited requests over none, a running mean",
            _WHERE,
            registry=registry,
        )
        self._state_contracts(model)
        self._audits = Counter(
            "dit_serve_audits", "Requests made again at none", _WHERE, registry=registry
        )
        self._audited: dict[tuple[str, str], tuple[float, float]] = {}
        self._replicas = Gauge(
            "dit_serve_replicas",
            "Replicas by state: idle or busy",
            ["model", "pool", "state"],
            registry=registry,
        )

    def _state_contracts(self, model: ModelConfig) -> None:
        """The tiers' contracts of the config, for alert rules to compare with."""
        least_psnr = Gauge(
            "dit_serve_tier_min_psnr_db",
            "PSNR against none that the config asks of a tier",
            _WHERE,
            registry=self._registry,
        )
        least_speedup = Gauge(
            "dit_serve_tier_min_speedup",
            "Speed over none that the config asks of a tier",
            _WHERE,
            registry=self._registry,
        )
        for pool in model.pools:
            for tier, contract in pool.tiers.items():
                where = (model.name, pool.name, tier)
                if contract.min_psnr_db is not None:
                    least_psnr.labels(*where).set(contract.min_psnr_db)
                if contract.min_speedup is not None:
                    least_speedup.labels(*where).set(contract.min_speedup)

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
            busy_s = receipt.total_s - receipt.queue_s
            self._forecast_error.labels(*where).observe(busy_s / receipt.forecast_s)
        if receipt.deadline_met is not None:
            self._deadline.labels(receipt.model, str(receipt.deadline_met).lower()).inc()
        self._tier_served.labels(receipt.model, receipt.tier_requested, receipt.tier_served).inc()

    def audited(self, pool: str, tier: str, psnr_db: float, speedup: float) -> None:
        """Counts a request that was made again at `none`; the newest weighs `AUDIT_WEIGHT`."""
        where = (self._model, pool, tier)
        known_db, known_speedup = self._audited.get((pool, tier), (psnr_db, speedup))
        psnr_db = known_db + AUDIT_WEIGHT * (psnr_db - known_db)
        speedup = known_speedup + AUDIT_WEIGHT * (speedup - known_speedup)
        self._audited[pool, tier] = psnr_db, speedup
        self._audits.labels(*where).inc()
        self._tier_psnr.labels(*where).set(psnr_db)
        self._tier_speedup.labels(*where).set(speedup)

    def not_served(
        self, outcome: str, *, deadline_broken: bool, pool: str = "", tier: str = ""
    ) -> None:
        """Counts a request that ended without a result.

        `outcome` is the error's code, or "cancelled".
        """
        self._requests.labels(self._model, pool, tier, outcome).inc()
        if deadline_broken:
            self._deadline.labels(self._model, "false").inc()

    def now(self, waiting: int, pools: Mapping[str, PoolLoad]) -> list[Metric]:
        """Everything, with the gauges set: the requests that wait, and the state of each pool."""
        self._queue_requests.labels(self._model).set(waiting)
        for pool, load in pools.items():
            self._backlog_seconds.labels(self._model, pool).set(load.backlog_s)
            self._replicas.labels(self._model, pool, "idle").set(load.idle)
            self._replicas.labels(self._model, pool, "busy").set(load.busy)
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
