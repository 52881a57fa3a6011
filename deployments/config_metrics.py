"""What the config states, as gauges: contracts and limits for alert rules to compare with."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from cluster.config import ModelConfig


def state_config(model: ModelConfig, registry: CollectorRegistry) -> None:
    """Puts the gauges of a model's config into a registry, once and for all."""
    _state_limits(model, registry)
    _state_contracts(model, registry)


def _state_limits(model: ModelConfig, registry: CollectorRegistry) -> None:
    queue = Gauge(
        "dit_serve_queue_limit",
        "Requests that may wait for a replica: max_queued",
        ["model"],
        registry=registry,
    )
    backlog = Gauge(
        "dit_serve_backlog_limit_seconds",
        "Forecast seconds of work up to which a pool takes requests: max_backlog_s",
        ["model"],
        registry=registry,
    )
    queue.labels(model.name).set(model.max_queued)
    backlog.labels(model.name).set(model.max_backlog_s)
    where = ["model", "pool"]
    least = Gauge(
        "dit_serve_replicas_min",
        "Replicas that a pool has at least: autoscaling.min_replicas",
        where,
        registry=registry,
    )
    most = Gauge(
        "dit_serve_replicas_max",
        "Replicas that a pool has at most: autoscaling.max_replicas",
        where,
        registry=registry,
    )
    audited = Gauge(
        "dit_serve_audit_fraction",
        "Part of a pool's served requests that is to be audited, 0 to 1: audit_fraction",
        where,
        registry=registry,
    )
    for pool in model.pools:
        least.labels(model.name, pool.name).set(pool.autoscaling.min_replicas)
        most.labels(model.name, pool.name).set(pool.autoscaling.max_replicas)
        audited.labels(model.name, pool.name).set(pool.audit_fraction)


def _state_contracts(model: ModelConfig, registry: CollectorRegistry) -> None:
    where = ["model", "pool", "tier"]
    least_psnr = Gauge(
        "dit_serve_tier_min_psnr_db",
        "PSNR against none, in dB, that the config asks of a tier: min_psnr_db",
        where,
        registry=registry,
    )
    least_speedup = Gauge(
        "dit_serve_tier_min_speedup",
        "Speed over none that the config asks of a tier: min_speedup",
        where,
        registry=registry,
    )
    for pool in model.pools:
        for tier, contract in pool.tiers.items():
            labels = (model.name, pool.name, tier)
            if contract.min_psnr_db is not None:
                least_psnr.labels(*labels).set(contract.min_psnr_db)
            if contract.min_speedup is not None:
                least_speedup.labels(*labels).set(contract.min_speedup)
