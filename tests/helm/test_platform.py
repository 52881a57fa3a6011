"""What stands around the RayService: budgets, ways in, claims, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.helm import kuberay
from tests.helm.engines import NAMESPACE, RELEASE, Engine, RenderError
from tests.helm.full_release import (
    EVERYTHING,
    labels_of,
    named_ports,
)
from tests.helm.manifests import Manifest, of_kind, one, ray_service
from tests.helm.selectors import selects

OPTIONAL = {
    "Ingress",
    "HTTPRoute",
    "PersistentVolumeClaim",
    "PodMonitor",
    "ServiceMonitor",
    "PrometheusRule",
    "ConfigMap",
    "PodDisruptionBudget",
    "Service",
}
RELEASE_LABELS = {
    "app.kubernetes.io/part-of": "dit-serve",
    "app.kubernetes.io/instance": RELEASE,
    "app.kubernetes.io/managed-by": "Helm",
}


def test_a_plain_release_has_none_of_the_optional_objects(engines: dict[str, Engine]) -> None:
    kinds = {manifest["kind"] for manifest in engines["helm4"].render()}
    assert kinds & OPTIONAL == set()
    assert {"RayService", "ServiceAccount", "NetworkPolicy"} <= kinds


def test_every_object_is_of_the_release_and_in_its_namespace(platform: list[Manifest]) -> None:
    own = [manifest for manifest in platform if manifest["metadata"]["name"] != "of-the-user"]
    assert {manifest["kind"] for manifest in own} >= OPTIONAL
    for manifest in own:
        where = f"{manifest['kind']} {manifest['metadata']['name']}"
        assert manifest["metadata"].get("namespace") == NAMESPACE, where
        assert labels_of(manifest).items() >= RELEASE_LABELS.items(), where


class TestBudgets:
    def test_each_group_that_keeps_spare_pods_has_its_own(
        self, platform: list[Manifest], pods: list[Manifest], strangers: list[Manifest]
    ) -> None:
        budgets = of_kind(platform, "PodDisruptionBudget")
        taken = {
            budget["metadata"]["name"]: [
                labels_of(pod)["ray.io/group"]
                for pod in [*pods, *strangers]
                if selects(budget["spec"]["selector"], labels_of(pod))
            ]
            for budget in budgets
        }
        name = ray_service(platform)["metadata"]["name"]
        assert taken == {f"{name}-large": ["large", "large"], f"{name}-small": ["small", "small"]}

    def test_they_count_pods_as_kubernetes_can_for_a_ray_cluster(
        self, platform: list[Manifest]
    ) -> None:
        """A RayCluster has no scale subresource: maxUnavailable would refuse every eviction."""
        kept = {
            budget["spec"]["selector"]["matchLabels"]["ray.io/group"]: budget["spec"]
            for budget in of_kind(platform, "PodDisruptionBudget")
        }
        assert {group: spec["minAvailable"] for group, spec in kept.items()} == {
            "large": 3,
            "small": 1,
        }
        assert all(set(spec) == {"minAvailable", "selector"} for spec in kept.values())

    def test_a_group_of_fixed_size_is_counted_by_its_replicas(
        self, engines: dict[str, Engine]
    ) -> None:
        group = {"minReplicas": 1, "replicas": 3, "maxReplicas": 5}
        fixed = engines["helm4"].render(over={"workerGroups": {"cpu": group}})
        assert one(fixed, "PodDisruptionBudget")["spec"]["minAvailable"] == 2


class TestWaysIn:
    def test_the_ingress_leads_to_the_gateways(
        self, platform: list[Manifest], pods: list[Manifest]
    ) -> None:
        spec = one(platform, "Ingress")["spec"]
        assert spec["ingressClassName"] == "nginx"
        assert [rule["host"] for rule in spec["rules"]] == ["images.example.org", "api.example.org"]
        paths = [rule["http"]["paths"] for rule in spec["rules"]]
        assert [path["path"] for (path,) in paths] == ["/", "/v1"]
        service = {
            "name": f"{ray_service(platform)['metadata']['name']}-serve-svc",
            "port": {"number": named_ports(pods[0])["serve"]},
        }
        for (path,) in paths:
            assert path["pathType"] == "Prefix"
            assert path["backend"] == {"service": service}
        assert spec["tls"] == EVERYTHING["ingress"]["tls"]

    def test_the_route_leads_to_the_gateways(
        self, platform: list[Manifest], pods: list[Manifest]
    ) -> None:
        spec = one(platform, "HTTPRoute")["spec"]
        name = f"{ray_service(platform)['metadata']['name']}-serve-svc"
        assert spec == {
            "parentRefs": EVERYTHING["httpRoute"]["parentRefs"],
            "hostnames": ["images.example.org"],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "timeouts": {"request": "3600s"},
                    "backendRefs": [
                        {"name": name, "port": named_ports(pods[0])["serve"]},
                    ],
                }
            ],
        }

    def test_a_route_without_a_timeout_leaves_it_out(self, engines: dict[str, Engine]) -> None:
        route = {**EVERYTHING["httpRoute"], "timeout": ""}
        (rule,) = one(engines["helm4"].render(over={"httpRoute": route}), "HTTPRoute")["spec"][
            "rules"
        ]
        assert "timeouts" not in rule


class TestPodsRelyOn:
    def test_claims_that_pods_mount_are_made_and_outlive_the_release(
        self, platform: list[Manifest], pods: list[Manifest]
    ) -> None:
        claims = {
            claim["metadata"]["name"]: claim for claim in of_kind(platform, "PersistentVolumeClaim")
        }
        workers = [pod for pod in pods if not kuberay.is_head(pod)]
        assert all(_claims(pod) <= set(claims) for pod in pods)
        assert all(_claims(worker) == set(claims) for worker in workers)
        for claim in claims.values():
            assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
            assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
        assert {claim["spec"]["resources"]["requests"]["storage"] for claim in claims.values()} == {
            "500Gi",
            "70Gi",
        }
        assert {claim["spec"].get("storageClassName") for claim in claims.values()} == {
            None,
            "shared",
        }

    def test_claims_that_exist_are_mounted_and_not_made(self, engines: dict[str, Engine]) -> None:
        objects = engines["helm4"].render(
            over={
                "modelCache": {"type": "pvc", "existingClaim": "weights"},
                "resultsVolume": {"type": "pvc", "existingClaim": "pictures"},
            }
        )
        assert of_kind(objects, "PersistentVolumeClaim") == []
        _, *workers = kuberay.pods(objects)
        assert all(_claims(worker) == {"weights", "pictures"} for worker in workers)

    def test_the_service_account_gives_no_token_by_itself(
        self, platform: list[Manifest], pods: list[Manifest]
    ) -> None:
        account = one(platform, "ServiceAccount")
        assert account["automountServiceAccountToken"] is False
        assert {pod["spec"]["serviceAccountName"] for pod in pods} == {account["metadata"]["name"]}

    def test_an_account_that_exists_is_not_made(self, engines: dict[str, Engine]) -> None:
        account = {"create": False, "name": "has-a-role"}
        objects = engines["helm4"].render(over={"serviceAccount": account})
        assert of_kind(objects, "ServiceAccount") == []
        assert {pod["spec"]["serviceAccountName"] for pod in kuberay.pods(objects)} == {
            "has-a-role"
        }


def test_extra_objects_come_as_maps_and_as_templates(platform: list[Manifest]) -> None:
    extra = [m for m in platform if m["metadata"]["name"] == "of-the-user"]
    assert {m["kind"]: m.get("data", m.get("stringData")) for m in extra} == {
        "ConfigMap": {"literal": "{{ .Release.Name }}"},
        "Secret": {"release": RELEASE},
    }


INCREMENTAL = {
    "autoscaling": {"enabled": True},
    "upgrade": {"strategy": "NewClusterWithIncrementalUpgrade", "gatewayClassName": "istio"},
}
ONE_HOST = {"enabled": True, "hosts": [{"host": "a.example.org"}]}
RESTRICTED = {"networkPolicy": {"egress": {"restricted": True}}}


@pytest.mark.parametrize("engine", ["helm3", "helm4"])
@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"ingress": {"enabled": True}}, "ingress.hosts is empty"),
        ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs is empty"),
        ({**INCREMENTAL, "ingress": ONE_HOST}, "KubeRay's Gateway studio-dit-serve-gateway"),
        (
            {**INCREMENTAL, "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}},
            "httpRoute.enabled: with upgrade.strategy NewClusterWithIncrementalUpgrade",
        ),
        (
            {"networkPolicy": {"operatorNamespaceLabels": {"kubernetes.io/metadata.name": None}}},
            "networkPolicy.operatorNamespaceLabels is empty",
        ),
        (
            {
                **RESTRICTED,
                "gcsFaultTolerance": {"enabled": True, "redisAddress": "redis:6379"},
                "secrets": {"database": {"name": "jobs"}},
            },
            "cannot reach Redis (gcsFaultTolerance), the job store (secrets.database)",
        ),
        ({"podDisruptionBudget": {"maxUnavailable": "25%"}}, "podDisruptionBudget"),
        ({"ingress": {"enabled": True, "hosts": [{"path": "/v1"}]}}, "host"),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(
    engines: dict[str, Engine], engine: str, over: dict[str, Any], said: str
) -> None:
    with pytest.raises(RenderError, match=re.escape(said)):
        engines[engine].render(over=over)


def _claims(pod: Manifest) -> set[str]:
    return {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
