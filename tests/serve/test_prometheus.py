"""A server under watch: what audits find, and what a real Prometheus makes of its metrics."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from PIL import Image

from deployments.fidelity import psnr_db
from helm import dashboard
from tests.monitoring.prometheus import Prometheus, prometheus
from tests.monitoring.promql import empty_queries, has_data, unknown_parts
from tests.monitoring.rules import RULES
from tests.serve.faults import PROMPT, deaths, draw, replicas, until
from tests.serve.server import Server, serving

pytestmark = pytest.mark.ray

DATA_S = 30.0
"""How long Prometheus may take to have scraped and evaluated what happened."""

DOCUMENT = Path("docs/monitoring.md").read_text()
TIERS = ("none", "medium", "fast", "ultra")


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("audits")
    document = yaml.safe_load(Path("configs/demo.yaml").read_text())
    (pool,) = document["applications"][0]["args"]["models"][0]["pools"]
    pool["audit_fraction"] = 1.0
    pool["tiers"]["fast"] = {"min_psnr_db": 5.0, "min_speedup": 0.1}
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(document))
    with serving(config, folder) as server:
        yield server


def sample(server: Server, name: str, **labels: str) -> float:
    where = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    line = f"{name}{{{where}}} "
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    return float(next((found.split()[-1] for found in text.splitlines() if line in found), "0"))


def of_tier(server: Server, name: str, tier: str) -> float:
    return sample(server, name, model="shapes", pool="cpu", tier=tier)


def starts(server: Server) -> float:
    return sample(server, "dit_serve_replica_starts_total", model="shapes", pool="cpu")


def picture(answer: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(answer["data"][0]["b64_json"])))


def test_an_audit_tells_how_near_the_tier_is_to_none_and_its_speed(audited: Server) -> None:
    served = draw(audited, prompt=PROMPT, tier="fast", seed=3)
    until(lambda: of_tier(audited, "dit_serve_audits_total", "fast") == 1, 60)
    exact = draw(audited, prompt=PROMPT, tier="none", seed=3)
    found = of_tier(audited, "dit_serve_tier_psnr_db", "fast")
    assert found == pytest.approx(psnr_db(picture(served), picture(exact)), abs=0.01)
    assert of_tier(audited, "dit_serve_tier_speedup", "fast") > 0
    assert of_tier(audited, "dit_serve_audits_total", "none") == 0


def test_a_caller_stops_the_audit_on_its_replica(audited: Server) -> None:
    long: dict[str, Any] = {"prompt": PROMPT, "num_inference_steps": 100, "n": 8}
    again_s = draw(audited, **long, tier="none", seed=5)["receipt"]["denoise_s"]
    before = of_tier(audited, "dit_serve_audits_total", "ultra")
    draw(audited, **long, tier="ultra", seed=5)
    time.sleep(0.1 * again_s)
    began_s = time.monotonic()
    receipt = draw(audited, prompt=PROMPT, num_inference_steps=8, tier="none")["receipt"]
    assert time.monotonic() - began_s < 0.6 * again_s, "the audit would have taken longer"
    assert receipt["attempts"] == 1
    assert of_tier(audited, "dit_serve_audits_total", "ultra") == before


@pytest.fixture(scope="module")
def watching(audited: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus as docs/monitoring.md sets it up, but quicker, and with two gateways' targets.

    As found in Kubernetes, they have a namespace. The requests come while it scrapes.
    """
    config = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)[0])
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(Path(file).absolute()) for file in config["rule_files"]]
    port = audited.url.rpartition(":")[2]
    targets = [f"127.0.0.1:{port}", f"localhost:{port}"]
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": targets, "labels": {"namespace": "images"}}]
    with prometheus(config, tmp_path_factory.mktemp("prometheus")) as running:
        until(lambda: len(running.query("dit_serve_build_info")) == len(targets), DATA_S)
        for seed, tier in enumerate(TIERS * 2):
            draw(audited, tier=tier, deadline_ms=60_000, num_inference_steps=10, seed=seed)
        draw(audited, tier="auto", min_tier="ultra", deadline_ms=60_000)
        yield running


def settled(faults: Callable[[], list[str]]) -> list[str]:
    """The faults that are left after a while."""
    give_up = time.monotonic() + DATA_S
    while (left := faults()) and time.monotonic() < give_up:
        time.sleep(0.5)
    return left


def test_every_query_of_the_dashboard_finds_data(watching: Prometheus) -> None:
    document = json.loads(dashboard.FILE.read_text())
    assert settled(lambda: empty_queries(document, watching.query)) == []
    broken = json.loads(
        dashboard.FILE.read_text()
        .replace("dit_serve_queue_limit", "dit_serve_queued_limit")
        .replace('kind=\\"cached\\"', 'kind=\\"skipped\\"')
        .replace("}, pool)", "}, pol)")
    )
    faults = [fault.split(":")[0] for fault in empty_queries(broken, watching.query)]
    assert faults == ["Requests that wait", "Cached part of the steps", "variable pool"]


def test_what_two_gateways_tell_counts_once(audited: Server, watching: Prometheus) -> None:
    document = json.loads(dashboard.FILE.read_text())
    (panel,) = [each for each in document["panels"] if each["title"] == "Ranks"]
    expr = panel["targets"][0]["expr"].replace("$namespace", ".*").replace("$model", ".*")
    (ranks,) = watching.query(expr.replace("$pool", ".*"))
    assert float(ranks["value"][1]) == 1
    assert len(watching.query("dit_serve_ranks")) == 2


def test_every_rule_is_healthy_and_reads_what_is_exported(watching: Prometheus) -> None:
    loaded = settled_rules(watching)
    assert sorted(rule["name"] for rule in loaded) == sorted(
        rule.get("alert") or rule["record"] for rule in RULES
    )
    assert {rule["health"] for rule in loaded} == {"ok"}, loaded
    for rule in RULES:
        expr = rule["expr"]
        assert settled(lambda expr=expr: unknown_parts(expr, watching.query)) == []
        if "record" in rule:
            assert has_data(watching.query(rule["record"])), rule["record"]


def settled_rules(watching: Prometheus) -> list[dict[str, Any]]:
    """The rules once each has been evaluated."""
    until(lambda: all(rule["health"] != "unknown" for rule in watching.rules()), DATA_S)
    return [dict(rule) for rule in watching.rules()]


def test_a_misspelt_metric_or_label_of_a_rule_is_found(watching: Prometheus) -> None:
    assert unknown_parts("max by (model) (dit_serve_queue_limits) > 1", watching.query)
    assert unknown_parts('rate(dit_serve_deadline_total{met="no"}[5m]) > 1', watching.query)
    assert unknown_parts("max by (modell) (dit_serve_queue_limit) > 1", watching.query)


def test_nothing_is_wrong_and_no_alert_fires(audited: Server, watching: Prometheus) -> None:
    assert starts(audited) == 1
    assert deaths(audited, "cpu") == 0
    assert watching.firing() == set()


def test_the_memory_of_a_pool_on_cpu_is_that_of_its_process(audited: Server) -> None:
    used, total = (
        sample(audited, "dit_serve_device_memory_bytes", kind=kind, model="shapes", pool="cpu")
        for kind in ("used", "total")
    )
    assert total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    (pid,) = audited.replica_pids("pool-shapes-cpu")
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert peak is not None
    assert used == pytest.approx(int(peak[1]) * 1024, rel=0.1)


def test_an_idle_replica_that_is_killed_is_a_death_and_an_alert(
    audited: Server, watching: Prometheus
) -> None:
    (pid,) = audited.replica_pids("pool-shapes-cpu")
    os.kill(pid, signal.SIGKILL)
    until(lambda: deaths(audited, "cpu") == 1, 15)
    until(lambda: watching.firing() == {"DitServeReplicaDied"}, 15)
    until(lambda: replicas(audited) == {"cpu": 1}, 90)
    assert starts(audited) == 2
    assert deaths(audited, "cpu") == 1
