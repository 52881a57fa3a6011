"""Prometheus and Grafana find what they shall scrape, watch and show."""

from __future__ import annotations

import json
import re

from tests.helm import kuberay
from tests.helm.engines import CHART
from tests.helm.full_release import labels_of, named_ports
from tests.helm.manifests import Manifest, of_kind, one, read_yaml
from tests.helm.selectors import selects


def test_the_metrics_service_finds_every_head_and_nothing_else(
    platform: list[Manifest], pods: list[Manifest], strangers: list[Manifest]
) -> None:
    selector = {"matchLabels": one(platform, "Service")["spec"]["selector"]}
    found = [pod for pod in [*pods, *strangers] if selects(selector, labels_of(pod))]
    assert found == [pod for pod in pods if kuberay.is_head(pod)]
    assert len(found) == 2


def test_the_metrics_service_names_ports_of_the_head(
    platform: list[Manifest], pods: list[Manifest]
) -> None:
    spec = one(platform, "Service")["spec"]
    assert spec["type"] == "ClusterIP"
    offered = named_ports(pods[0])
    for port in spec["ports"]:
        assert offered[port["targetPort"]] == port["port"], port["name"]
    assert {port["name"]: port["port"] for port in spec["ports"]} == {
        "serve": 8000,
        "metrics": 8080,
    }


def test_the_service_monitor_scrapes_the_gateways_of_that_service(platform: list[Manifest]) -> None:
    monitor = one(platform, "ServiceMonitor")
    service = one(platform, "Service")
    # Keys by name: the schema at hand takes misspelt ones.
    assert set(monitor["spec"]) == {"selector", "endpoints"}
    assert monitor["spec"]["endpoints"] == [
        {
            "port": "serve",
            "path": "/metrics",
            "interval": "20s",
            "authorization": {
                "type": "Bearer",
                "credentials": {"name": "key-for-prometheus", "key": "token"},
            },
        }
    ]
    assert selects(monitor["spec"]["selector"], labels_of(service))
    assert labels_of(monitor)["release"] == "prometheus"


def test_the_pod_monitor_finds_every_ray_pod_and_nothing_else(
    platform: list[Manifest], pods: list[Manifest], strangers: list[Manifest]
) -> None:
    selector = one(platform, "PodMonitor")["spec"]["selector"]
    assert [pod for pod in [*pods, *strangers] if selects(selector, labels_of(pod))] == pods


def test_the_pod_monitor_scrapes_rays_port_and_keeps_rays_labels(
    platform: list[Manifest], pods: list[Manifest]
) -> None:
    spec = one(platform, "PodMonitor")["spec"]
    assert set(spec) == {"selector", "podMetricsEndpoints"}
    (endpoint,) = spec["podMetricsEndpoints"]
    assert set(endpoint) == {"port", "path", "interval", "relabelings"}
    assert (endpoint["port"], endpoint["path"]) == ("metrics", "/metrics")
    assert all(named_ports(pod)["metrics"] == 8080 for pod in pods)
    for pod in pods:
        meta = {
            f"__meta_kubernetes_pod_label_{re.sub('[^a-zA-Z0-9_]', '_', key)}": value
            for key, value in labels_of(pod).items()
        }
        kept = {}
        for rule in endpoint["relabelings"]:
            assert set(rule) == {"action", "sourceLabels", "targetLabel"}
            assert rule["action"] == "replace"
            (source,) = rule["sourceLabels"]
            kept[rule["targetLabel"]] = meta[source]
        assert kept == {
            "ray_io_cluster": labels_of(pod)["ray.io/cluster"],
            "ray_io_group": labels_of(pod)["ray.io/group"],
            "ray_io_node_type": labels_of(pod)["ray.io/node-type"],
        }


def test_rules_reach_prometheus_as_the_files_say(platform: list[Manifest]) -> None:
    files = sorted(CHART.glob("rules/*.yaml"))
    groups = [group for file in files for group in read_yaml(file.read_text())["groups"]]
    assert one(platform, "PrometheusRule")["spec"] == {"groups": groups}
    assert any("{{ $labels." in text for text in _annotations(groups))


def test_dashboards_reach_grafana_as_the_files_say(platform: list[Manifest]) -> None:
    config = next(
        manifest
        for manifest in of_kind(platform, "ConfigMap")
        if manifest["metadata"]["name"].endswith("-dashboards")
    )
    files = {file.name: file.read_text() for file in CHART.glob("dashboards/*.json")}
    assert files
    assert config["data"] == files
    assert all(json.loads(text)["panels"] for text in files.values())
    assert labels_of(config)["grafana_dashboard"] == "1"


def _annotations(groups: list[Manifest]) -> list[str]:
    return [
        text
        for group in groups
        for rule in group["rules"]
        for text in rule.get("annotations", {}).values()
    ]
