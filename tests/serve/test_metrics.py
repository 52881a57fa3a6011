"""`/metrics` counts what the receipts say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.monitoring.programs import promtool
from tests.serve.conftest import MAX_QUEUED

pytestmark = pytest.mark.ray

PROMPT = "a red circle left of a blue square on a white background"


def samples(http: httpx.Client) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return Counter(
        {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
    )


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def test_the_counters_grow_by_what_the_receipts_say(http: httpx.Client) -> None:
    before = samples(http)
    receipts: list[dict[str, Any]] = []
    for fields in (
        {"tier": "none"},
        {"tier": "ultra", "n": 2},
        {"tier": "ultra", "deadline_ms": 60_000},
        {},
    ):
        answer = http.post("/v1/images/generations", json={"prompt": PROMPT} | fields)
        receipts.append(answer.json()["receipt"])
    grown = samples(http)
    grown.subtract(before)

    for tier in ("none", "ultra", "medium"):
        where = {"model": "shapes", "pool": "cpu", "tier": tier}
        ours = [receipt for receipt in receipts if receipt["tier_served"] == tier]
        assert grown[key("dit_serve_requests_total", **where, outcome="ok")] == len(ours)
        for kind in ("computed", "cached"):
            steps = sum(receipt[f"steps_{kind}"] for receipt in ours)
            assert grown[key("dit_serve_steps_total", **where, kind=kind)] == steps
        assert grown[key("dit_serve_request_seconds_count", **where)] == len(ours)
        total = sum(receipt["total_s"] for receipt in ours)
        assert grown[key("dit_serve_request_seconds_sum", **where)] == pytest.approx(total)
        for stage in ("encode", "denoise", "decode"):
            seconds = sum(receipt[f"{stage}_s"] for receipt in ours)
            measured = grown[key("dit_serve_stage_seconds_sum", **where, stage=stage)]
            assert measured == pytest.approx(seconds)
    served = key("dit_serve_tier_served_total", model="shapes", requested="medium", served="medium")
    assert grown[served] == 1
    assert grown[key("dit_serve_deadline_total", model="shapes", met="true")] == 1
    queued = sum(receipt["queue_s"] for receipt in receipts)
    assert grown[key("dit_serve_queue_seconds_sum", model="shapes")] == pytest.approx(queued)


def test_the_gauges_tell_the_state(http: httpx.Client) -> None:
    now = samples(http)
    assert now[key("dit_serve_queue_requests", model="shapes")] == 0
    assert now[key("dit_serve_replicas", model="shapes", pool="cpu", state="idle")] == 1
    assert now[key("dit_serve_ranks", model="shapes", pool="cpu")] == 1
    assert now[key("dit_serve_queue_limit", model="shapes")] == MAX_QUEUED
    assert now[key("dit_serve_replicas_min", model="clips", pool="cpu")] == 1
    assert now[key("dit_serve_build_info", version="0.1.0")] == 1
    for model in REPLICAS:
        assert now[key("dit_serve_router_up", model=model)] == 1


def test_promtool_finds_nothing_to_mend_in_the_text(http: httpx.Client) -> None:
    status, said = promtool("check", "metrics", given=http.get("/metrics").text)
    assert (status, said) == (0, "")


REPLICAS = {"shapes": {"cpu": 1}, "clips": {"cpu": 1}}


def test_models_and_tiers_are_listed(http: httpx.Client) -> None:
    models = {model["id"]: model for model in http.get("/v1/models").json()["data"]}
    assert set(models) == {"shapes", "clips"}
    assert models["shapes"]["tasks"] == ["text-to-image", "image-to-image", "inpainting"]
    assert models["clips"]["tasks"] == ["text-to-video"]
    tiers = [row for row in http.get("/v1/tiers").json()["data"] if row["model"] == "shapes"]
    assert [row["tier"] for row in tiers] == ["none", "slow", "medium", "fast", "ultra"]
    assert tiers[0]["cache_config"]["Fn_compute_blocks"] == 1


def test_health_ready_and_the_openapi_document_answer(http: httpx.Client) -> None:
    assert http.get("/health").json() == {"status": "ok"}
    assert http.get("/ready").json() == {"status": "ready", "replicas": REPLICAS}
    document = http.get("/openapi.json").json()
    operation = document["paths"]["/v1/images/generations"]["post"]
    named = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = document["components"]["schemas"][named.rpartition("/")[2]]
    assert {"prompt", "tier", "deadline_ms"} <= set(schema["properties"])
