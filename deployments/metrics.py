"""Prometheus metrics: each router counts its own model.

Every name and its meaning: docs/monitoring.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric

from cluster.config import ModelConfig
from cluster.key_limits import GPU_SECONDS, IN_FLIGHT, REQUESTS
from cluster.pool_load import PoolLoad
from cluster.receipt import Receipt
from cluster.tiers import Tier
from deployments.config_metrics import state_config
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
        self._world_sizes = {pool.name: pool.dims.world_size for pool in model.pools}
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
            "PSNR of audited requests against none in dB, a running mean",
            _WHERE,
            registry=registry,
        )
        self._tier_speedup = Gauge(
            "dit_serve_tier_speedup",
            "Speed of audited requests over none, a running mean",
            _WHERE,
            registry=registry,
        )
        self._audits = Counter(
            "dit_serve_audits", "Requests made again at none", _WHERE, registry=registry
        )
        self._last_audit = Gauge(
            "dit_serve_last_audit_timestamp_seconds",
            "When the last audit ended, in seconds of Unix time",
            _WHERE,
            registry=registry,
        )
        self._audited: dict[tuple[str, str], tuple[float, float]] = {}
        self._replicas = Gauge(
            "dit_serve_replicas",
            "Replicas by state: idle or busy",
            ["model", "pool", "state"],
            registry=registry,
        )
        self._ranks = Gauge(
            "dit_serve_ranks",
            "Rank processes that run: replicas times the ranks of each",
            ["model", "pool"],
            registry=registry,
        )
        self._replica_starts = Counter(
            "dit_serve_replica_starts",
            "Replicas that began to take requests; a new router counts those that run already",
            ["model", "pool"],
            registry=registry,
        )
        self._replica_deaths = Counter(
            "dit_serve_replica_deaths",
            "Replicas that ended without having been told to: crashes, kills, lost nodes",
            ["model", "pool"],
            registry=registry,
        )
        self._outputs_refused = Counter(
            "dit_serve_outputs_refused",
            "Results kept back since they cannot be right: no numbers, or black all over",
            _WHERE,
            registry=registry,
        )
        self._limited = Counter(
            "dit_serve_requests_limited",
            "Requests refused since their key has used what it may, by the limit that says so",
            ["model", "limit"],
            registry=registry,
        )
        self._device_memory = Gauge(
            "dit_serve_device_memory_bytes",
            "Bytes of its device that the fullest rank of the last job held, and has in all",
            ["model", "pool", "kind"],
            registry=registry,
        )
        state_config(model, registry)
        self._begin_at_zero(model)

    def _begin_at_zero(self, model: ModelConfig) -> None:
        """To Prometheus, a counter that is first seen at 1 has not grown."""
        for met in ("true", "false"):
            self._deadline.labels(model.name, met)
        for limit in (IN_FLIGHT, REQUESTS, GPU_SECONDS):
            self._limited.labels(model.name, limit)
        for pool in model.pools:
            self._replica_starts.labels(model.name, pool.name)
            self._replica_deaths.labels(model.name, pool.name)
            for tier in pool.tiers:
                self._requests.labels(model.name, pool.name, tier, "ok")
                self._outputs_refused.labels(model.name, pool.name, tier)
                if pool.audit_fraction and tier is not Tier.NONE:
                    self._audits.labels(model.name, pool.name, tier)

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
        if result.memory is not None:
            memory = self._device_memory
            memory.labels(receipt.model, receipt.pool, "used").set(result.memory.used)
            memory.labels(receipt.model, receipt.pool, "total").set(result.memory.total)
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
        self._last_audit.labels(*where).set_to_current_time()

    def replica_started(self, pool: str) -> None:
        """Counts a replica that Serve says runs and had not named before."""
        self._replica_starts.labels(self._model, pool).inc()

    def replica_died(self, pool: str) -> None:
        """Counts a replica that ended without having been told to."""
        self._replica_deaths.labels(self._model, pool).inc()

    def output_refused(self, pool: str, tier: str) -> None:
        """Counts a result that was corrupt, whatever becomes of its request."""
        self._outputs_refused.labels(self._model, pool, tier).inc()

    def limited(self, limit: str) -> None:
        """Counts a request that a limit of its key kept out."""
        self._limited.labels(self._model, limit).inc()

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
            ranks = (load.idle + load.busy) * self._world_sizes[pool]
            self._ranks.labels(self._model, pool).set(ranks)
        return list(self._registry.collect())
