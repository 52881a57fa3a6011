"""What `selectors` and `schemas` must find: changes of a release, and what is said of each."""

from __future__ import annotations

from tests.helm.changes import (
    CLUSTER,
    HEAD_POD,
    WORKER,
    WORKER_POD,
    WORKER_RAY,
    Change,
)
from tests.helm.manifests import GONE

INSTANCE = "app.kubernetes.io/instance"
BY_SERVICE = {"ray.io/originated-from-cr-name": "studio-dit-serve"}
BY_CLUSTER = {"ray.io/cluster": "studio-dit-serve-abcde"}

SCHEMA_CHANGES = [
    Change("RayService", ("spec", "serveConfig"), "", "'serveConfig' was unexpected"),
    Change("RayService", (*CLUSTER, "rayVersions"), "2.60.0", "'rayVersions' was unexpected"),
    Change("RayService", (*WORKER, "minReplica"), 1, "'minReplica' was unexpected"),
    Change("RayService", (*WORKER, "minReplicas"), "1", "'1' is not of type 'integer'"),
    Change("RayService", (*WORKER_RAY, "volumeMount"), [], "'volumeMount' was unexpected"),
    Change("RayService", (*HEAD_POD, "nodeSelectors"), {}, "'nodeSelectors' was unexpected"),
    Change("PodMonitor", ("spec", "selectr"), {}, "PodMonitor studio-dit-serve/spec/selectr: no"),
    Change("PodMonitor", ("spec", "podMetricsEndpoints", 0, "prot"), "x", "/0/prot: no such key"),
    Change("PodMonitor", ("spec", "podMetricsEndpoints", 0, "interval"), "soon", "pattern"),
    Change("ServiceMonitor", ("spec", "endpoints", 0, "paths"), "/m", "/0/paths: no such key"),
    Change("PrometheusRule", ("spec", "groups", 0, "rule"), [], "/0/rule: no such key"),
    Change("PrometheusRule", ("spec", "groups", 0, "rules", 0, "labels"), 5, "labels: type"),
    Change("HTTPRoute", ("spec", "parentRef"), [], "/spec/parentRef: no such key"),
    Change("HTTPRoute", ("spec", "rules", 0, "backendRefs", 0, "port"), 80000, "maximum"),
    Change("NetworkPolicy", ("spec", "ingres"), [], "'ingres' was unexpected"),
    Change("Service", ("spec", "ports", 0, "targetport"), 1, "'targetport' was unexpected"),
    Change("Ingress", ("spec", "ingressClass"), "nginx", "'ingressClass' was unexpected"),
    Change("PodDisruptionBudget", ("spec", "minAvailble"), 1, "'minAvailble' was unexpected"),
    Change("PersistentVolumeClaim", ("spec", "accessMode"), [], "'accessMode' was unexpected"),
    Change("ServiceAccount", ("kind",), "ServiceAcount", "Couldn't find schema for kind"),
]

SELECTOR_RULE_CHANGES: dict[str, list[Change]] = {
    "targets": [
        Change("Service", ("spec", "selector", "ray.io/node-type"), "worker", "Service misses"),
        Change("Service", ("spec", "selector"), {INSTANCE: "studio"}, "Service catches"),
        Change(
            "PodDisruptionBudget",
            ("spec", "selector"),
            {"matchLabels": {INSTANCE: "studio"}},
            "Budget catches",
        ),
        Change(
            "PodMonitor", ("spec", "selector"), {"matchLabels": BY_SERVICE}, "PodMonitor misses"
        ),
        Change("PodMonitor", ("spec", "selector", "matchExpressions"), GONE, "PodMonitor catches"),
        Change(
            "NetworkPolicy",
            ("spec", "podSelector"),
            {"matchLabels": BY_SERVICE},
            "no NetworkPolicy covers",
        ),
    ],
    "service monitor": [
        Change(
            "ServiceMonitor", ("spec", "selector"), {"matchLabels": {"a": "b"}}, "finds no service"
        ),
        Change("ServiceMonitor", ("spec", "endpoints", 0, "port"), "http", "asks for port http"),
    ],
    "port names": [
        Change("Service", ("spec", "ports", 0, "targetPort"), "http", "has no port http"),
        Change(
            "PodMonitor", ("spec", "podMetricsEndpoints", 0, "port"), "metric", "no port metric"
        ),
        Change("NetworkPolicy", ("spec", "ingress", 1, "ports", 0, "port"), "http", "no port http"),
    ],
    "backends": [
        Change(
            "Ingress",
            ("spec", "rules", 0, "http", "paths", 0, "backend", "service", "name"),
            "x",
            "Ingress leads to",
        ),
        Change(
            "HTTPRoute", ("spec", "rules", 0, "backendRefs", 0, "port"), 80, "HTTPRoute leads to"
        ),
    ],
}

SELECTOR_CHANGES = [
    Change(
        "PodMonitor",
        ("spec", "selector"),
        {"matchLabels": BY_SERVICE},
        "catches no pod of cluster abcde",
    ),
    Change(
        "PodDisruptionBudget",
        ("spec", "selector"),
        {"matchLabels": BY_CLUSTER},
        "catches no pod of cluster fghij",
    ),
    Change("NetworkPolicy", ("spec", "podSelector"), {}, "catches pods of another release"),
    Change(
        "NetworkPolicy",
        ("spec", "ingress", 0, "from", 0, "podSelector"),
        {},
        "peer of NetworkPolicy studio-dit-serve catches pods of another",
    ),
    Change(
        "Service",
        ("spec", "selector"),
        {"ray.io/node-type": "head"},
        "catches pods of another release",
    ),
    Change(
        "RayService",
        (*WORKER_POD, "topologySpreadConstraints"),
        [{"labelSelector": {"matchLabels": {"ray.io/group": "cpu"}}}],
        "placement of cpu catches pods of another release",
    ),
]
