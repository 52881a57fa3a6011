"""The pods that KubeRay makes of a RayService, as far as the chart's other objects depend on them.

Source: KubeRay v1.7, ray-operator/controllers/ray/common/pod.go (DefaultHeadPodTemplate,
DefaultWorkerPodTemplate, BuildPod), and the lengths of names in controllers/ray/utils/constant.go.
What is not used here by any check is left out: TLS, the history server, multi-host groups.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from tests.helm.engines import NAMESPACE
from tests.helm.manifests import Manifest, ray_cluster, ray_service

HEAD_GROUP = "headgroup"
NOT_OVERRIDABLE = ("ray.io/node-type", "ray.io/group", "ray.io/cluster")
"""Labels of KubeRay that a pod template cannot set; it can set all others."""

FIRST_CLUSTER = "abcde"
NEXT_CLUSTER = "fghij"
"""Five characters that are drawn for each cluster of a RayService; an upgrade brings new ones."""

METRICS_PORT = 8080
SERVE_PORT = 8000
AGENT_PORT = 52365
LABEL_MAX = 63


def cluster_name(service: Manifest, suffix: str) -> str:
    return f"{service['metadata']['name']}-{suffix}"


def pods(objects: Sequence[Manifest], suffix: str = FIRST_CLUSTER) -> list[Manifest]:
    """One pod of each group, the head's first, of the cluster with that suffix."""
    cluster = ray_cluster(objects)
    name = cluster_name(ray_service(objects), suffix)
    return [
        _head(cluster, name),
        *(_worker(cluster, group, name) for group in cluster["workerGroupSpecs"]),
    ]


def redis_cleanup_pod(objects: Sequence[Manifest], suffix: str = FIRST_CLUSTER) -> Manifest:
    """The pod that empties Redis after a cluster is gone: the head's, but for its node type.

    Source: buildRedisCleanupJob in controllers/ray/raycluster_controller.go.
    """
    pod = pods(objects, suffix)[0]
    pod["metadata"]["labels"]["ray.io/node-type"] = "redis-cleanup"
    return pod


def is_head(pod: Manifest) -> bool:
    return pod["metadata"]["labels"]["ray.io/node-type"] == "head"


def autoscales(cluster: Manifest) -> bool:
    return bool(cluster.get("enableInTreeAutoscaling"))


def autoscaler_v2(cluster: Manifest) -> bool:
    """Whether KubeRay sets up autoscaler v2, which a field asks for."""
    return autoscales(cluster) and cluster.get("autoscalerOptions", {}).get("version") == "v2"


def _head(cluster: Manifest, name: str) -> Manifest:
    group = cluster["headGroupSpec"]
    pod = _pod(group["template"], name, "head", HEAD_GROUP)
    # Until its proxy is found healthy; workers are ready by their probe alone.
    pod["metadata"]["labels"]["ray.io/serve"] = "false"
    spec = pod["spec"]
    ray = spec["containers"][0]
    if autoscales(cluster):
        sidecar = _autoscaler(ray["image"], cluster, name)
        spec["containers"].append(sidecar)
        if autoscaler_v2(cluster):
            ray["env"].append({"name": "RAY_enable_autoscaler_v2", "value": "true"})
            spec["restartPolicy"] = "Never"
        for container in (ray, sidecar):
            _mount_empty(spec, container, "ray-logs", "/tmp/ray", {})
    _redis(ray, cluster)
    _finish(pod, cluster, name)
    return pod


def _worker(cluster: Manifest, group: Manifest, name: str) -> Manifest:
    pod = _pod(group["template"], name, "worker", group["groupName"])
    pod["metadata"]["labels"]["ray.io/serve"] = "true"
    spec = pod["spec"]
    ray = spec["containers"][0]
    small = {"cpu": "200m", "memory": "256Mi"}
    waiting = {
        "name": "wait-gcs-ready",
        "image": ray["image"],
        "command": ["/bin/bash", "-c", "--"],
        "args": [f"until ray health-check --address {_head_address(name)}; do sleep 5; done"],
        "env": copy.deepcopy(ray["env"]),
        "volumeMounts": copy.deepcopy(ray["volumeMounts"]),
        "resources": {"limits": dict(small), "requests": dict(small)},
    }
    if "securityContext" in ray:
        waiting["securityContext"] = copy.deepcopy(ray["securityContext"])
    spec.setdefault("initContainers", []).append(waiting)
    if autoscaler_v2(cluster):
        spec["restartPolicy"] = "Never"
    _finish(pod, cluster, name)
    return pod


def _pod(template: Manifest, name: str, node_type: str, group: str) -> Manifest:
    written = copy.deepcopy(template)
    metadata = written.get("metadata", {})
    own = metadata.get("labels", {})
    labels = {
        "ray.io/is-ray-node": "yes",
        "ray.io/cluster": name,
        "ray.io/node-type": node_type,
        "ray.io/group": group,
        "ray.io/identifier": f"{name}-{node_type}"[-LABEL_MAX:],
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": "kuberay-operator",
    }
    labels |= {key: value for key, value in own.items() if key not in NOT_OVERRIDABLE}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "name": f"{name}-{group}-x", "labels": labels},
        "spec": written["spec"],
    }
    pod["metadata"]["namespace"] = NAMESPACE
    for container in pod["spec"]["containers"]:
        container.setdefault("env", [])
        container.setdefault("volumeMounts", [])
    return pod


def _finish(pod: Manifest, cluster: Manifest, name: str) -> None:
    """What both kinds of pods get: ports, the token, shared memory, variables, probes."""
    spec = pod["spec"]
    ray = spec["containers"][0]
    ports = ray.setdefault("ports", [])
    if not any(port.get("name") == "metrics" for port in ports):
        ports.append({"name": "metrics", "containerPort": METRICS_PORT})
    waiting = [c for c in spec.get("initContainers", []) if c["name"] == "wait-gcs-ready"]
    for container in (ray, *waiting):
        _token(container, cluster, name)
    _mount_empty(spec, ray, "shared-mem", "/dev/shm", {"medium": "Memory"})
    for container in spec.get("initContainers", []):
        container.setdefault("env", []).append({"name": "FQ_RAY_IP", "value": _head_host(name)})
    _own_variables(ray, name, head=is_head(pod))
    _probes(ray, head=is_head(pod))


def _autoscaler(image: str, cluster: Manifest, name: str) -> Manifest:
    options = cluster.get("autoscalerOptions", {})
    small = {"cpu": "500m", "memory": "512Mi"}
    container: Manifest = {
        "name": "autoscaler",
        "image": options.get("image", image),
        "imagePullPolicy": options.get("imagePullPolicy", "IfNotPresent"),
        "command": ["/bin/bash", "-c", "--"],
        "args": ["ray kuberay-autoscaler"],
        "env": [
            _from_field("RAY_CLUSTER_NAME", "metadata.labels['ray.io/cluster']"),
            _from_field("RAY_CLUSTER_NAMESPACE", "metadata.namespace"),
            _from_field("RAY_HEAD_POD_NAME", "metadata.name"),
            {"name": "KUBERAY_CRD_VER", "value": "v1"},
        ],
        "resources": options.get("resources", {"limits": dict(small), "requests": dict(small)}),
        "volumeMounts": copy.deepcopy(options.get("volumeMounts", [])),
    }
    _token(container, cluster, name)
    container["env"] += copy.deepcopy(options.get("env", []))
    if "securityContext" in options:
        container["securityContext"] = copy.deepcopy(options["securityContext"])
    return container


def _token(container: Manifest, cluster: Manifest, name: str) -> None:
    authentication = cluster.get("authOptions", {})
    if authentication.get("mode") != "token":
        return
    secret = authentication.get("secretName") or name
    _default_variable(container, {"name": "RAY_AUTH_MODE", "value": "token"})
    reference = {"secretKeyRef": {"name": secret, "key": "auth_token"}}
    _default_variable(container, {"name": "RAY_AUTH_TOKEN", "valueFrom": reference})


def _redis(ray: Manifest, cluster: Manifest) -> None:
    options = cluster.get("gcsFaultToleranceOptions")
    if options is None:
        return
    namespace = options.get("externalStorageNamespace") or "uid-of-the-cluster"
    _default_variable(ray, {"name": "RAY_external_storage_namespace", "value": namespace})
    ray["env"].append({"name": "RAY_REDIS_ADDRESS", "value": options["redisAddress"]})
    for field, variable in (
        ("redisUsername", "REDIS_USERNAME"),
        ("redisPassword", "REDIS_PASSWORD"),
    ):
        if field in options:
            ray["env"].append({"name": variable, **copy.deepcopy(options[field])})


def _own_variables(ray: Manifest, name: str, *, head: bool) -> None:
    host = "127.0.0.1" if head else _head_host(name)
    if not head:
        ray["env"].append({"name": "FQ_RAY_IP", "value": host})
    ray["env"].append(_from_field("RAY_CLUSTER_NAME", "metadata.labels['ray.io/cluster']"))
    ray["env"].append(_from_field("RAY_CLOUD_INSTANCE_ID", "metadata.name"))
    ray["env"].append(_from_field("RAY_NODE_TYPE_NAME", "metadata.labels['ray.io/group']"))
    for variable, value in (
        ("RAY_PORT", "6379"),
        ("RAY_timeout_ms_task_wait_for_death_info", "0"),
        ("RAY_gcs_server_request_timeout_seconds", "5"),
        ("RAY_SERVE_KV_TIMEOUT_S", "5"),
        ("RAY_ADDRESS", f"{host}:6379"),
        ("RAY_USAGE_STATS_KUBERAY_IN_USE", "1"),
    ):
        _default_variable(ray, {"name": variable, "value": value})


def _probes(ray: Manifest, *, head: bool) -> None:
    """Ray answers for a node's health on its agent's port; a worker must serve as well."""
    health = {"httpGet": {"path": "/api/healthz", "port": AGENT_PORT}}
    ray.setdefault("livenessProbe", health)
    if head:
        ray.setdefault("readinessProbe", health)
        return
    serve = next((p["containerPort"] for p in ray["ports"] if p.get("name") == "serve"), SERVE_PORT)
    asked = f"wget -q -O- http://localhost:{serve}/-/healthz"
    ray.setdefault("readinessProbe", {"exec": {"command": ["bash", "-c", asked]}})


def _mount_empty(
    spec: Manifest, container: Manifest, volume: str, path: str, source: dict[str, Any]
) -> None:
    """An emptyDir at a path, unless something is mounted at just that path."""
    if any(mount["mountPath"] == path for mount in container["volumeMounts"]):
        return
    volumes = spec.setdefault("volumes", [])
    if not any(existing["name"] == volume for existing in volumes):
        volumes.append({"name": volume, "emptyDir": dict(source)})
    container["volumeMounts"].append({"name": volume, "mountPath": path})


def _default_variable(container: Manifest, variable: Manifest) -> None:
    if not any(present["name"] == variable["name"] for present in container["env"]):
        container["env"].append(variable)


def _from_field(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _head_host(name: str) -> str:
    return f"{name}-head-svc.{NAMESPACE}.svc.cluster.local"


def _head_address(name: str) -> str:
    return f"{_head_host(name)}:6379"
