"""Who reaches which port of which pod, by the release's NetworkPolicies."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.helm import kuberay
from tests.helm.engines import NAMESPACE, Engine
from tests.helm.full_release import EVERYTHING, OTHER_RELEASE, labels_of, named_ports
from tests.helm.manifests import Manifest, changed, of_kind
from tests.helm.network import Endpoint, open_ports, reaches

RAY_PORTS = (6379, 8000, 8080, 8265, 10001, 44217, 44227, 52365)
"""Of a head with Ray's defaults: GCS, Serve, metrics, dashboard, client, autoscaler, agent."""

CANDIDATES = (*RAY_PORTS, 22, 53, 80, 443, 6443, 10250, 30000)

PROMETHEUS = Endpoint("monitoring", {"app.kubernetes.io/name": "prometheus"})
OPERATOR = Endpoint("kuberay-system", {"app.kubernetes.io/component": "kuberay-operator"})
BESIDE_THE_OPERATOR = Endpoint("kuberay-system", {"app": "debug"})
NEIGHBOUR = Endpoint(NAMESPACE, {"app": "wordpress"})
ELSEWHERE = Endpoint("default", {"app": "wordpress"})
OUTSIDE = Endpoint(None)
INGRESS_CONTROLLER = Endpoint("ingress-nginx", {"app.kubernetes.io/name": "ingress-nginx"})
DNS = Endpoint("kube-system", {"k8s-app": "kube-dns"})
REDIS = Endpoint("stores", {"app": "redis"})
HUB = Endpoint(None, address="198.51.100.9")

ONLY_INGRESS = {
    "gatewayFrom": [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    ]
}
RESTRICTED = {
    "egress": {
        "restricted": True,
        "to": [
            {
                "to": [
                    {
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": "stores"}
                        },
                        "podSelector": {"matchLabels": {"app": "redis"}},
                    }
                ],
                "ports": [{"protocol": "TCP", "port": 6379}],
            },
            {"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}], "ports": [{"port": 443}]},
        ],
    }
}

Render = Callable[..., list[Manifest]]


@pytest.fixture(scope="module")
def release(engines: dict[str, Engine]) -> Render:
    def render(policy: Mapping[str, Any], **over: Any) -> list[Manifest]:
        return engines["helm4"].render(over={**EVERYTHING, "networkPolicy": policy, **over})

    return render


@pytest.fixture(scope="module")
def open_release(release: Render) -> list[Manifest]:
    return release({})


@pytest.fixture(scope="module")
def closed_release(release: Render) -> list[Manifest]:
    return release({**ONLY_INGRESS, **RESTRICTED})


@pytest.fixture(scope="module")
def other_head(engines: dict[str, Engine]) -> Endpoint:
    """The head of another release in the same namespace."""
    return as_endpoint(kuberay.pods(engines["helm4"].render(release=OTHER_RELEASE))[0])


def as_endpoint(pod: Manifest) -> Endpoint:
    return Endpoint(NAMESPACE, labels_of(pod), named_ports(pod))


def policies_of(objects: list[Manifest]) -> list[Manifest]:
    return of_kind(objects, "NetworkPolicy")


def head_and_worker(objects: list[Manifest]) -> tuple[Endpoint, Endpoint]:
    head, worker, *_ = kuberay.pods(objects)
    return as_endpoint(head), as_endpoint(worker)


def table(
    policies: list[Manifest], objects: list[Manifest], other: Endpoint
) -> dict[str, tuple[set[int], set[int]]]:
    """For each kind of source, the ports open to it on the head and on a worker."""
    head, worker = head_and_worker(objects)
    sources = {
        "prometheus": PROMETHEUS,
        "operator": OPERATOR,
        "beside the operator": BESIDE_THE_OPERATOR,
        "ingress controller": INGRESS_CONTROLLER,
        "neighbour": NEIGHBOUR,
        "elsewhere": ELSEWHERE,
        "outside": OUTSIDE,
        "other release": other,
    }
    return {
        name: (
            open_ports(policies, source, head, CANDIDATES),
            open_ports(policies, source, worker, CANDIDATES),
        )
        for name, source in sources.items()
    }


CLOSED_TABLE: dict[str, tuple[set[int], set[int]]] = {
    "prometheus": ({8000, 8080}, {8080}),
    "operator": ({8000, 8265}, set()),
    "beside the operator": (set(), set()),
    "ingress controller": ({8000}, {8000}),
    "neighbour": (set(), set()),
    "elsewhere": (set(), set()),
    "outside": (set(), set()),
    "other release": (set(), set()),
}
OPEN_TABLE = {
    name: (head | {8000}, worker | {8000}) for name, (head, worker) in CLOSED_TABLE.items()
}


def test_everybody_reaches_the_gateways_and_only_those(
    open_release: list[Manifest], other_head: Endpoint
) -> None:
    assert table(policies_of(open_release), open_release, other_head) == OPEN_TABLE


def test_only_who_is_named_reaches_the_gateways(
    closed_release: list[Manifest], other_head: Endpoint
) -> None:
    # The other release may send to anywhere, so what is closed here is closed by the receivers.
    assert table(policies_of(closed_release), closed_release, other_head) == CLOSED_TABLE


def test_pods_of_a_release_reach_each_other_on_every_port(closed_release: list[Manifest]) -> None:
    policies = policies_of(closed_release)
    first = [as_endpoint(pod) for pod in kuberay.pods(closed_release)]
    upgraded = [as_endpoint(pod) for pod in kuberay.pods(closed_release, kuberay.NEXT_CLUSTER)]
    for source in first:
        for target in (*first, *upgraded):
            for port in CANDIDATES:
                assert reaches(policies, source, target, port)
            assert reaches(policies, source, target, 30000, "UDP")


def test_the_pod_of_helm_test_reaches_the_gateways(closed_release: list[Manifest]) -> None:
    (pod,) = of_kind(closed_release, "Pod")
    tester = Endpoint(NAMESPACE, labels_of(pod))
    for target in head_and_worker(closed_release):
        assert reaches(policies_of(closed_release), tester, target, 8000)


def test_without_monitoring_labels_nobody_reaches_the_metrics(
    release: Render, other_head: Endpoint
) -> None:
    none = {"monitoringNamespaceLabels": {"kubernetes.io/metadata.name": None}}
    objects = release({**ONLY_INGRESS, **none})
    reached = table(policies_of(objects), objects, other_head)
    assert reached == {**CLOSED_TABLE, "prometheus": (set(), set())}


def test_pods_send_anywhere_unless_egress_is_restricted(open_release: list[Manifest]) -> None:
    for pod in head_and_worker(open_release):
        assert reaches(policies_of(open_release), pod, HUB, 443)


def test_restricted_pods_reach_dns_what_is_named_and_no_more(
    closed_release: list[Manifest],
) -> None:
    policies = policies_of(closed_release)
    _, worker = head_and_worker(closed_release)
    assert open_ports(policies, worker, DNS, CANDIDATES) == {53}
    assert reaches(policies, worker, DNS, 53, "UDP")
    assert not reaches(policies, worker, DNS, 123, "UDP")
    assert open_ports(policies, worker, REDIS, CANDIDATES) == {6379}
    assert open_ports(policies, worker, HUB, CANDIDATES) == {443}
    for unnamed in (OUTSIDE, ELSEWHERE, NEIGHBOUR, PROMETHEUS):
        assert open_ports(policies, worker, unnamed, CANDIDATES) == set()


def test_only_a_head_that_autoscales_reaches_the_kubernetes_api(
    closed_release: list[Manifest], release: Render
) -> None:
    head, worker = head_and_worker(closed_release)
    policies = policies_of(closed_release)
    assert open_ports(policies, head, OUTSIDE, CANDIDATES) == {443, 6443}
    assert open_ports(policies, worker, OUTSIDE, CANDIDATES) == set()
    fixed = release(RESTRICTED, autoscaling={"enabled": False})
    head, _ = head_and_worker(fixed)
    assert open_ports(policies_of(fixed), head, OUTSIDE, CANDIDATES) == set()


def test_the_pod_that_cleans_up_redis_reaches_it(closed_release: list[Manifest]) -> None:
    cleaner = as_endpoint(kuberay.redis_cleanup_pod(closed_release))
    policies = policies_of(closed_release)
    assert open_ports(policies, cleaner, REDIS, CANDIDATES) == {6379}
    assert reaches(policies, cleaner, DNS, 53, "UDP")
    assert open_ports(policies, ELSEWHERE, cleaner, CANDIDATES) == set()


def test_turned_off_there_is_no_policy(release: Render) -> None:
    assert policies_of(release({"enabled": False})) == []


RULES = "0/spec/ingress"
"""Of the policy of all pods: each other, the gateways, the metrics."""


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (f"{RULES}/1/from", []),
        (f"{RULES}/1/ports/0/port", "dashboard"),
        (f"{RULES}/2/ports", [{"protocol": "TCP", "port": 8080}, {"protocol": "TCP", "port": 9}]),
        (f"{RULES}/2/from/0/namespaceSelector", {}),
        (f"{RULES}/0/from/0/podSelector", {}),
        (f"{RULES}/0", {"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}),
        (f"{RULES}/0", {}),
        ("0/spec/policyTypes", ["Egress"]),
        ("0/spec/podSelector/matchLabels", {"app": "ray"}),
        ("1/spec/ingress/0/ports", []),
        ("1/spec/ingress/0/from/0/podSelector", {}),
        ("1/spec/podSelector/matchLabels", {"app.kubernetes.io/instance": "studio"}),
    ],
)
def test_a_policy_that_opens_more_or_less_is_noticed(
    closed_release: list[Manifest], other_head: Endpoint, path: str, new: Any
) -> None:
    policies = policies_of(closed_release)
    edited = changed(copy.deepcopy(policies), path, new)
    assert table(edited, closed_release, other_head) != CLOSED_TABLE


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (f"{RULES}/1/form", []),
        (f"{RULES}/1/from/0/namespaceSelectors", {}),
        (f"{RULES}/1/from/0/namespaceSelector/matchLabel", {}),
        (f"{RULES}/1/ports/0/name", "serve"),
    ],
)
def test_a_misspelt_key_is_an_error(
    closed_release: list[Manifest], other_head: Endpoint, path: str, new: Any
) -> None:
    edited = changed(policies_of(closed_release), path, new)
    with pytest.raises(ValueError, match="has no"):
        table(edited, closed_release, other_head)
