"""A release with everything turned on, and its pods as the other objects see them."""

from __future__ import annotations

from typing import Any

from tests.helm.engines import Engine
from tests.helm.kuberay import FIRST_CLUSTER, NEXT_CLUSTER, pods, redis_cleanup_pod
from tests.helm.manifests import Manifest

OTHER_RELEASE = "atelier"

EVERYTHING: dict[str, Any] = {
    "autoscaling": {"enabled": True},
    "workerGroups": {
        "cpu": {"minReplicas": 1, "maxReplicas": 2},
        "large": {"minReplicas": 4, "maxReplicas": 6, "cpu": 8, "memory": "32Gi"},
        "small": {"minReplicas": 2, "maxReplicas": 6, "cpu": 2, "memory": "8Gi"},
        "left-out": {"enabled": False, "minReplicas": 3, "maxReplicas": 3},
    },
    "modelCache": {"type": "pvc"},
    "resultsVolume": {"type": "pvc", "size": "70Gi", "storageClassName": "shared"},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "hosts": [{"host": "images.example.org"}, {"host": "api.example.org", "path": "/v1"}],
        "tls": [{"secretName": "images", "hosts": ["images.example.org", "api.example.org"]}],
    },
    "httpRoute": {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["images.example.org"],
    },
    "monitoring": {
        "podMonitor": {"enabled": True},
        "serviceMonitor": {
            "enabled": True,
            "interval": "20s",
            "labels": {"release": "prometheus"},
            "keySecret": {"name": "key-for-prometheus"},
        },
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True},
    },
    "extraObjects": [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "of-the-user"},
            "data": {"literal": "{{ .Release.Name }}"},
        },
        "apiVersion: v1\nkind: Secret\nmetadata: {name: of-the-user}\n"
        "stringData: {release: {{ .Release.Name }}}\n",
    ],
}


def both_clusters(objects: list[Manifest]) -> list[Manifest]:
    """The release's pods during an upgrade, when there are two clusters."""
    return [*pods(objects, FIRST_CLUSTER), *pods(objects, NEXT_CLUSTER)]


def not_serving(objects: list[Manifest], engine: Engine) -> list[Manifest]:
    """Pods of another release in the same namespace, and of this one those that are no nodes."""
    tests = [manifest for manifest in objects if manifest["kind"] == "Pod"]
    other = engine.render(over=EVERYTHING, release=OTHER_RELEASE)
    return [*pods(other), redis_cleanup_pod(objects), *tests]


def labels_of(manifest: Manifest) -> dict[str, str]:
    """The labels of an object, or none."""
    return manifest["metadata"].get("labels", {})


def named_ports(pod: Manifest) -> dict[str, int]:
    """Ports of the Ray container, by name."""
    return {
        port["name"]: port["containerPort"]
        for port in pod["spec"]["containers"][0]["ports"]
        if "name" in port
    }
