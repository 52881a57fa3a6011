"""Values that cannot work are refused at render, by both engines, with words that name them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.helm.engines import Engine, RenderError

SHAPES: dict[str, Any] = {
    "name": "shapes",
    "source": "demo/weights",
    "default_size": "128x128",
    "pools": [{"name": "cpu", "device": "cpu"}],
}
POOL: dict[str, Any] = SHAPES["pools"][0]
VIDEO: dict[str, Any] = {**SHAPES, "default_frames": 16}
BUCKET = {"settings": {"results": {"url": "s3://bucket/results"}}}


def of_pool(**settings: Any) -> dict[str, Any]:
    return {"models": [{**SHAPES, "pools": [{**POOL, **settings}]}]}


def of_model(**settings: Any) -> dict[str, Any]:
    return {"models": [{**SHAPES, **settings}]}


def of_group(**settings: Any) -> dict[str, Any]:
    return {"workerGroups": {"cpu": settings}}


def without_keys(auth: Any) -> dict[str, Any]:
    """No secret with API keys, and what the settings say of them instead."""
    return {"secrets": {"apiKeys": {"name": ""}}, "settings": {"auth": auth}}


def of_gpus(ranks: int, gpus: int, **pool: Any) -> dict[str, Any]:
    """A pool of so many ranks on cards, and a group of four pods with so many cards each."""
    group = {"gpus": gpus, "cpu": 16, "memory": "64Gi", "minReplicas": 4, "maxReplicas": 4}
    settings = {"device": "cuda", "num_ranks": ranks, **pool}
    return {**of_pool(**settings), "workerGroups": {"cpu": {"enabled": False}, "h100": group}}


UNKNOWN_KEYS: dict[str, dict[str, Any]] = {
    "imageTag": {"imageTag": "1"},
    "registry": {"image": {"registry": "example.org"}},
    "num_rank": of_pool(num_rank=2),
    "default_teir": of_model(default_teir="fast"),
    "max_sides": of_model(limits={"max_sides": 128}),
    "min_replica": of_pool(autoscaling={"min_replica": 1}),
    "Fn_compute_block": of_pool(cache_config={"Fn_compute_block": 1}),
    "ulyses_size": of_pool(parallelism_config={"ulyses_size": 2}),
    "gateway": {"settings": {"gateway": 2}},
    "open": {"settings": {"auth": {"open": True}}},
    "replica": of_group(replica=2),
    "ifname": of_group(nccl={"ifname": "eth0"}),
    "readOnlyRootFilesytem": {"securityContext": {"readOnlyRootFilesytem": True}},
    "runAsNonRoots": {"podSecurityContext": {"runAsNonRoots": True}},
    "requsts": {"head": {"resources": {"requsts": {}}}},
    "idleTimeout": {"autoscaling": {"idleTimeout": 5}},
    "stepSize": {"upgrade": {"stepSize": 5}},
    "enable": {"ingress": {"enable": True}},
    "url": {"secrets": {"database": {"url": "postgresql://user:password@host/jobs"}}},
    "token": {"secrets": {"hubToken": {"token": "hf_abc"}}},
    "intervall": {"monitoring": {"podMonitor": {"intervall": "5s"}}},
    "restrict": {"networkPolicy": {"egress": {"restrict": True}}},
    "drian": {"shutdown": {"drian": True}},
}

WRONG_TYPES: dict[str, dict[str, Any]] = {
    "workerGroups.cpu.maxReplicas": of_group(maxReplicas="many"),
    "workerGroups.cpu.minReplicas": of_group(minReplicas=-1),
    "workerGroups.cpu.gpus": of_group(gpus=0.5),
    "models": {"models": []},
    "models.0.pools": of_model(pools=[]),
    "models.0.pools.0.num_ranks": of_pool(num_ranks="two"),
    "autoscaling.enabled": {"autoscaling": {"enabled": "yes"}},
    "autoscaling.upscalingMode": {"autoscaling": {"upscalingMode": "Fast"}},
    "auth.mode": {"auth": {"mode": "none"}},
    "settings.auth": {"settings": {"auth": "off"}},
    "modelCache.type": {"modelCache": {"type": "nfs"}},
    "upgrade.strategy": {"upgrade": {"strategy": "Rolling"}},
    "upgrade.stepSizePercent": {"upgrade": {"stepSizePercent": 120}},
    "image.pullPolicy": {"image": {"pullPolicy": "Sometimes"}},
    "service.type": {"service": {"type": "Node"}},
    "podSecurityContext.runAsUser": {"podSecurityContext": {"runAsUser": 0}},
    "securityContext.privileged": {"securityContext": {"privileged": True}},
    "resultsVolume.mountPath": {"resultsVolume": {"mountPath": "results"}},
}

CANNOT_WORK: dict[str, tuple[dict[str, Any], str]] = {
    "a group of too few cards": (
        of_gpus(8, 4),
        "models[0].pools[0] (shapes/cpu): a replica needs 8 GPUs and 8.1 CPUs in one pod"
        " (STRICT_PACK); the worker groups have .*h100: 4 pods of 4 GPUs and 16 CPUs",
    ),
    "half a node too few": (
        of_gpus(16, 2, ranks_per_node=2),
        "a replica needs 2 GPUs and 2 CPUs in each of 8 pods (ranks_per_node); .*4 pods of 2 GPUs",
    ),
    "too few CPUs beside the cards": (
        of_gpus(4, 4, cpus_per_rank=4),
        "a replica needs 4 GPUs and 16.1 CPUs in one pod",
    ),
    "more replicas than room": (
        of_gpus(4, 4, autoscaling={"min_replicas": 5, "max_replicas": 5}),
        "autoscaling.min_replicas is 5, and there is room for 4",
    ),
    "pools that fit alone but not together": (
        {
            "models": [
                {**SHAPES, "name": name, "pools": [{**POOL, "cpus_per_rank": 3}]}
                for name in ("shapes", "more")
            ]
        },
        "models: all pools at their min_replicas, with 3 gateways and routers, need 6.15 CPUs,"
        " and the pods have 4 CPUs",
    ),
    "min over max": (
        of_group(minReplicas=3, maxReplicas=2),
        "workerGroups.cpu.minReplicas: 3 is more than maxReplicas, 2",
    ),
    "replicas over max": (of_group(replicas=4), "workerGroups.cpu.replicas: 4 is not between"),
    "no pod for gateways": (
        {**of_group(minReplicas=0, maxReplicas=1), "autoscaling": {"enabled": True}},
        "some enabled group must keep a pod",
    ),
    "shared memory that fills the pod": (
        of_group(sharedMemory="12Gi"),
        "workerGroups.cpu.sharedMemory: 12Gi counts as memory of the pod, which has 12Gi",
    ),
    "a group with the head's name": (
        {"workerGroups": {"headgroup": {"minReplicas": 1, "maxReplicas": 1}}},
        "workerGroups.headgroup: KubeRay calls the head's group so",
    ),
    "incremental without autoscaling": (
        {"upgrade": {"strategy": "NewClusterWithIncrementalUpgrade", "gatewayClassName": "istio"}},
        "NewClusterWithIncrementalUpgrade needs autoscaling.enabled",
    ),
    "incremental without a gateway": (
        {
            "autoscaling": {"enabled": True},
            "upgrade": {"strategy": "NewClusterWithIncrementalUpgrade"},
        },
        "upgrade.gatewayClassName: is empty",
    ),
    "a step over the surge": (
        {
            "autoscaling": {"enabled": True},
            "upgrade": {
                "strategy": "NewClusterWithIncrementalUpgrade",
                "gatewayClassName": "istio",
                "stepSizePercent": 30,
                "maxSurgePercent": 20,
            },
        },
        "upgrade.stepSizePercent: 30 is more than maxSurgePercent, 20",
    ),
    "fault tolerance without Redis": (
        {"gcsFaultTolerance": {"enabled": True}},
        "gcsFaultTolerance.redisAddress: is empty",
    ),
    "tokens with an old Ray": (
        {"rayVersion": "2.51.1"},
        "auth.mode: token needs Ray 2.52 or later, and rayVersion is 2.51.1",
    ),
    "a long name": (
        {"fullnameOverride": "a" * 48},
        "fullnameOverride: the name a{48} has 48 characters; KubeRay takes at most 47",
    ),
    "a name with a digit first": (
        {"fullnameOverride": "1st"},
        "fullnameOverride: the name 1st must be lower-case letters",
    ),
    "two models of one name": (
        {"models": [SHAPES, SHAPES]},
        "models[1].name: two models are called shapes",
    ),
    "two pools of one name": (
        of_model(pools=[POOL, POOL]),
        "models[0].pools[1].name: two pools of shapes are called cpu",
    ),
    "videos without a database": (
        {"models": [VIDEO], **BUCKET},
        "models[0] (shapes) makes videos, whose jobs outlive pods: give secrets.database.name",
    ),
    "videos without a shared place": (
        {"models": [VIDEO], "secrets": {"database": {"name": "jobs"}}},
        "makes videos, which outlive pods: they need a place that all pods share",
    ),
    "a database in plain text": (
        {"settings": {"database_url": "postgresql://user:password@host/jobs"}},
        "settings.database_url: would stand in plain text in the RayService",
    ),
    "nobody who may call": (
        {"secrets": {"apiKeys": {"name": ""}}},
        "secrets.apiKeys.name: is empty, so nobody could call; give it, or say settings.auth",
    ),
    "keys in two places": (
        {"settings": {"auth": {"keys": "database"}}},
        "settings.auth: keys come from secrets.apiKeys.name; give one of the two",
    ),
    "no keys, and closed to the network": (
        without_keys("none"),
        "settings.auth: with none a gateway answers only within its own pod; say {keys: none,",
    ),
    "no keys in a mapping, and closed to the network": (
        without_keys({"keys": "none"}),
        "settings.auth: without open_to_network: true a gateway answers only within its own pod",
    ),
    "a file of keys that no pod has": (
        without_keys({"keys_file": "keys.yaml"}),
        "settings.auth.keys_file: is no file of the pods; put the list of keys into a secret",
    ),
    "keys in a database that is each pod's own": (
        without_keys({"keys": "database"}),
        "settings.auth: keys from the database need secrets.database.name",
    ),
    "a Prometheus without a key": (
        {"monitoring": {"serviceMonitor": {"enabled": True}}},
        "monitoring.serviceMonitor.keySecret.name: is empty, and the gateways tell Prometheus",
    ),
    "a key of S3 in plain text": (
        {"settings": {"results": {"url": "s3://key:secret@bucket/results"}}},
        "settings.results.url: a password does not belong there",
    ),
    "an image that moves": ({"image": {"tag": "latest"}}, "image.tag: latest may be another"),
    "gateways without a shared place": (
        {"settings": {"gateways": 3}},
        "settings.gateways: 3 gateways need a place for results that all pods share",
    ),
    "a secret in plain text": (
        of_group(env=[{"name": "HF_TOKEN", "value": "hf_abc"}]),
        "workerGroups.cpu.env[0]: HF_TOKEN looks like a secret",
    ),
    "a variable of the chart": (
        {"head": {"env": [{"name": "RAY_USAGE_STATS_ENABLED", "value": "1"}]}},
        "head.env[0]: RAY_USAGE_STATS_ENABLED is set already",
    ),
}


@pytest.mark.parametrize("engine", ["helm3", "helm4"])
@pytest.mark.parametrize("key", UNKNOWN_KEYS)
def test_an_unknown_key_is_named(engines: dict[str, Engine], engine: str, key: str) -> None:
    said = _refused(engines[engine], UNKNOWN_KEYS[key])
    assert re.search(rf"additional propert(y|ies) .*\b{key}\b", said, re.IGNORECASE), said


@pytest.mark.parametrize("engine", ["helm3", "helm4"])
@pytest.mark.parametrize("path", WRONG_TYPES)
def test_a_wrong_value_is_named(engines: dict[str, Engine], engine: str, path: str) -> None:
    said = _refused(engines[engine], WRONG_TYPES[path])
    # The last step may be told apart from the way to it, as a key that may not be there.
    *way, last = path.split(".")
    assert all(step in said for step in (*way, last)), said


@pytest.mark.parametrize("engine", ["helm3", "helm4"])
@pytest.mark.parametrize("what", CANNOT_WORK)
def test_what_cannot_work_is_said(engines: dict[str, Engine], engine: str, what: str) -> None:
    over, words = CANNOT_WORK[what]
    said = " ".join(_refused(engines[engine], over).split())
    assert re.search(_pattern(words), said), said


def _refused(engine: Engine, over: dict[str, Any]) -> str:
    with pytest.raises(RenderError) as refusal:
        engine.render(over=over)
    return str(refusal.value)


def _pattern(words: str) -> str:
    """The words as they are, but for `.*` and a letter's count in braces."""
    return re.escape(words).replace(r"\.\*", ".*").replace(r"\{48\}", "{48}")
