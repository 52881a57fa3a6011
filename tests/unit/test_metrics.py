"""What a router's metrics say of its config and of what happened."""

from __future__ import annotations

import time

from deployments.metrics import RouterMetrics
from deployments.metrics_text import metrics_text
from tests.monitoring.registry import MODEL, metrics_of_everything

WHERE = '{model="shapes",pool="p",tier="medium"}'
POOL = '{model="shapes",pool="p"}'


def text_of(metrics: RouterMetrics) -> str:
    return metrics_text(["shapes"], {"shapes": metrics.now(0, {})}).decode()


def test_the_contract_and_the_audits_stand_under_the_same_labels() -> None:
    metrics = RouterMetrics(MODEL)
    metrics.audited("p", "medium", psnr_db=35.0, speedup=1.5)
    text = text_of(metrics)
    assert f"dit_serve_tier_min_psnr_db{WHERE} 40.0" in text
    assert f"dit_serve_tier_psnr_db{WHERE} 35.0" in text


def test_the_newest_audit_moves_the_mean_by_a_part() -> None:
    metrics = RouterMetrics(MODEL)
    metrics.audited("p", "medium", psnr_db=40.0, speedup=2.0)
    metrics.audited("p", "medium", psnr_db=30.0, speedup=1.0)
    text = text_of(metrics)
    assert f"dit_serve_tier_psnr_db{WHERE} 38.0" in text
    assert f"dit_serve_tier_speedup{WHERE} 1.8" in text
    assert f"dit_serve_audits_total{WHERE} 2.0" in text


def test_the_time_of_the_last_audit_is_that_of_the_clock() -> None:
    metrics = RouterMetrics(MODEL)
    assert f"dit_serve_last_audit_timestamp_seconds{WHERE}" not in text_of(metrics)
    before = time.time()
    metrics.audited("p", "medium", psnr_db=40.0, speedup=2.0)
    line = f"dit_serve_last_audit_timestamp_seconds{WHERE} "
    told = float(text_of(metrics).split(line)[1].split()[0])
    assert before <= told <= time.time()


def test_the_limits_of_the_config_are_there_from_the_start() -> None:
    text = text_of(RouterMetrics(MODEL))
    for line in (
        'dit_serve_queue_limit{model="shapes"} 50.0',
        'dit_serve_backlog_limit_seconds{model="shapes"} 90.0',
        f"dit_serve_replicas_min{POOL} 1.0",
        f"dit_serve_replicas_max{POOL} 3.0",
        f"dit_serve_audit_fraction{POOL} 0.25",
    ):
        assert line in text


def test_what_alerts_watch_grow_begins_at_zero() -> None:
    """Prometheus does not see a counter grow that is first seen at 1."""
    text = text_of(RouterMetrics(MODEL))
    for line in (
        'dit_serve_deadline_total{met="true",model="shapes"} 0.0',
        'dit_serve_deadline_total{met="false",model="shapes"} 0.0',
        f"dit_serve_replica_deaths_total{POOL} 0.0",
        'dit_serve_requests_total{model="shapes",outcome="ok",pool="p",tier="medium"} 0.0',
        f"dit_serve_audits_total{WHERE} 0.0",
        f"dit_serve_outputs_refused_total{WHERE} 0.0",
        'dit_serve_requests_limited_total{limit="in_flight",model="shapes"} 0.0',
    ):
        assert line in text


def test_a_result_that_is_kept_back_counts_as_refused_and_not_as_served() -> None:
    metrics = RouterMetrics(MODEL)
    metrics.output_refused("p", "medium")
    text = text_of(metrics)
    assert f"dit_serve_outputs_refused_total{WHERE} 1.0" in text
    assert (
        'dit_serve_requests_total{model="shapes",outcome="ok",pool="p",tier="medium"} 0.0' in text
    )


def test_what_a_keys_limit_kept_out_counts_by_the_limit_and_by_no_key() -> None:
    metrics = RouterMetrics(MODEL)
    metrics.limited("tiers.none.in_flight")
    line = 'dit_serve_requests_limited_total{limit="tiers.none.in_flight",model="shapes"} 1.0'
    assert line in text_of(metrics)


def test_ranks_and_memory_are_those_of_what_runs() -> None:
    text = metrics_text(["shapes"], {"shapes": metrics_of_everything()}).decode()
    assert f"dit_serve_ranks{POOL} 6.0" in text
    for kind, count in (("used", "3000.0"), ("total", "8000.0")):
        where = f'{{kind="{kind}",model="shapes",pool="p"}}'
        assert f"dit_serve_device_memory_bytes{where} {count}" in text


def test_a_router_that_does_not_answer_is_told_beside_what_the_others_counted() -> None:
    text = metrics_text(["shapes", "clips"], {"shapes": RouterMetrics(MODEL).now(0, {})}).decode()
    assert 'dit_serve_router_up{model="shapes"} 1.0' in text
    assert 'dit_serve_router_up{model="clips"} 0.0' in text
    assert 'dit_serve_queue_requests{model="shapes"} 0.0' in text
