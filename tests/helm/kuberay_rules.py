"""What KubeRay refuses in a RayService although its schema allows it, and what Ray needs.

Source: KubeRay v1.7, ray-operator/controllers/ray/utils/validation.go (ValidateRayServiceMetadata,
ValidateRayServiceSpec, ValidateRayClusterSpec). Each function takes the objects of a release and
returns a sentence for each fault.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.helm.kuberay import autoscaler_v2, autoscales
from tests.helm.manifests import Manifest, pod_templates, ray_cluster, ray_service

NAME_MAX = 47
"""53 characters of a RayCluster's name less the hyphen and five characters that KubeRay appends."""

TOKEN_SINCE = (2, 52)
STRATEGIES = ("None", "NewCluster", "NewClusterWithIncrementalUpgrade")
HEAD_PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "serve": 8000}
DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def name_faults(objects: Sequence[Manifest]) -> list[str]:
    name = ray_service(objects)["metadata"]["name"]
    faults = []
    if len(name) > NAME_MAX:
        faults.append(f"the name {name} has {len(name)} characters, more than {NAME_MAX}")
    if not DNS_1035.fullmatch(name):
        faults.append(f"the name {name} is no DNS-1035 label")
    return faults


def group_faults(objects: Sequence[Manifest]) -> list[str]:
    """Numbers of pods, idle time-outs, and resources that are said twice."""
    cluster = ray_cluster(objects)
    groups = cluster["workerGroupSpecs"]
    names = [group["groupName"] for group in groups]
    faults = [f"two groups are called {name}" for name in sorted({*names}) if names.count(name) > 1]
    for group in groups:
        name = group["groupName"]
        least, most = group.get("minReplicas"), group.get("maxReplicas")
        if least is None or most is None:
            faults.append(f"group {name} lacks minReplicas or maxReplicas")
        elif not 0 <= least <= group.get("replicas", least) <= most:
            faults.append(
                f"group {name}: {least}, {group.get('replicas')}, {most} are out of order"
            )
        if "idleTimeoutSeconds" in group and not autoscaler_v2(cluster):
            faults.append(f"group {name} has idleTimeoutSeconds without autoscaler v2")
        if group.get("suspend"):
            faults.append(f"group {name} is suspended")
    for name, group in {
        "head": cluster["headGroupSpec"],
        **dict(zip(names, groups, strict=True)),
    }.items():
        parameters = group.get("rayStartParams", {})
        if "labels" in parameters:
            faults.append(f"{name}: rayStartParams may not hold labels")
        said = {"num-cpus", "num-gpus", "memory", "resources"} & parameters.keys()
        if said and group.get("resources"):
            faults.append(f"{name}: resources stand in rayStartParams too")
    return faults


def head_faults(objects: Sequence[Manifest]) -> list[str]:
    """The head runs no replica: it offers no CPU and has no GPU. Ports have KubeRay's names."""
    head = ray_cluster(objects)["headGroupSpec"]
    ray = head["template"]["spec"]["containers"][0]
    faults = []
    if head.get("rayStartParams", {}).get("num-cpus") != "0":
        faults.append('the head offers CPUs to Ray: num-cpus is not "0"')
    resources = ray.get("resources", {})
    asked = {**resources.get("requests", {}), **resources.get("limits", {})}
    faults += [f"the head asks for {name}" for name in asked if "gpu" in name]
    ports = {port.get("name"): port["containerPort"] for port in ray.get("ports", [])}
    faults += [
        f"the head's port {name} is {ports.get(name)}, not {number}"
        for name, number in HEAD_PORTS.items()
        if ports.get(name) != number
    ]
    if "name" in head.get("headService", {}).get("metadata", {}):
        faults.append("the head's service may not be named")
    return faults


def gcs_faults(objects: Sequence[Manifest]) -> list[str]:
    """Redis is told of in gcsFaultToleranceOptions alone."""
    cluster = ray_cluster(objects)
    options = cluster.get("gcsFaultToleranceOptions")
    head = cluster["headGroupSpec"]
    ray = head["template"]["spec"]["containers"][0]
    faults = [
        f"rayStartParams of the head may not hold {name}"
        for name in ("redis-password", "redis-username")
        if name in head.get("rayStartParams", {})
    ]
    faults += [
        f"the head's variable {name} is KubeRay's to set"
        for name in ("RAY_REDIS_ADDRESS", "REDIS_PASSWORD", "REDIS_USERNAME")
        if name in _variables(ray)
    ]
    faults += [
        f"annotation {name} is replaced by gcsFaultToleranceOptions"
        for name in ray_service(objects)["metadata"].get("annotations", {})
        if name in ("ray.io/ft-enabled", "ray.io/external-storage-namespace")
    ]
    if options is not None:
        if not options.get("redisAddress"):
            faults.append("gcsFaultToleranceOptions has no redisAddress")
        faults += [
            f"gcsFaultToleranceOptions.{name} stands there in plain text"
            for name in ("redisUsername", "redisPassword")
            if "value" in options.get(name, {})
        ]
    return faults


def autoscaler_faults(objects: Sequence[Manifest]) -> list[str]:
    """Autoscaler v2 by its field, pods that are not restarted, a head that reaches the API."""
    cluster = ray_cluster(objects)
    templates = pod_templates(objects)
    set_by_hand = "RAY_enable_autoscaler_v2" in _variables(
        templates["head"]["spec"]["containers"][0]
    )
    faults = ["the head sets RAY_enable_autoscaler_v2, which the field does"] if set_by_hand else []
    if not autoscales(cluster):
        if "autoscalerOptions" in cluster:
            faults.append("autoscalerOptions without enableInTreeAutoscaling")
        return faults
    if not autoscaler_v2(cluster):
        faults.append("autoscalerOptions.version is not v2")
    faults += [
        f"{name}: restartPolicy is {template['spec']['restartPolicy']}, not Never"
        for name, template in templates.items()
        if template["spec"].get("restartPolicy", "Never") != "Never"
    ]
    if templates["head"]["spec"].get("automountServiceAccountToken") is False:
        faults.append("the autoscaler in the head's pod has no token for the Kubernetes API")
    return faults


def token_faults(objects: Sequence[Manifest]) -> list[str]:
    """RAY_AUTH_MODE is said one way or the other, and Ray is new enough for it."""
    cluster = ray_cluster(objects)
    authentication = cluster.get("authOptions", {})
    mode = authentication.get("mode")
    faults = []
    if mode not in ("token", "disabled"):
        faults.append(f"authOptions.mode is {mode}: neither token nor disabled")
    if authentication.get("enableK8sTokenAuth"):
        faults.append("a RayService cannot have enableK8sTokenAuth")
    version = tuple(int(part) for part in cluster["rayVersion"].split(".")[:2])
    if mode == "token" and version < TOKEN_SINCE:
        faults.append(f"tokens need Ray 2.52, not {cluster['rayVersion']}")
    return faults


def upgrade_faults(objects: Sequence[Manifest]) -> list[str]:
    spec = ray_service(objects)["spec"]
    strategy = spec.get("upgradeStrategy", {})
    kind = strategy.get("type")
    options = strategy.get("clusterUpgradeOptions")
    if kind not in STRATEGIES:
        return [f"upgradeStrategy.type is {kind}"]
    if kind != "NewClusterWithIncrementalUpgrade":
        return ["clusterUpgradeOptions belong to the incremental upgrade"] if options else []
    if not options:
        return ["the incremental upgrade has no clusterUpgradeOptions"]
    step, surge = options["stepSizePercent"], options.get("maxSurgePercent", 100)
    faults = []
    if not autoscales(spec["rayClusterConfig"]):
        faults.append("the incremental upgrade needs the autoscaler")
    if not options["gatewayClassName"]:
        faults.append("the incremental upgrade needs a gatewayClassName")
    if not 0 < step <= surge <= 100:
        faults.append(f"a step of {step} % with a surge of {surge} %")
    if options["intervalSeconds"] <= 0:
        faults.append("intervalSeconds is not positive")
    return faults


def serve_port_faults(objects: Sequence[Manifest]) -> list[str]:
    """KubeRay makes its serve service from a port called serve, and probes workers at it."""
    faults = []
    for name, template in pod_templates(objects).items():
        ports = template["spec"]["containers"][0].get("ports", [])
        named = {port.get("name"): port["containerPort"] for port in ports}
        faults += [
            f"{name}: port {port} is {named.get(port)}, not {number}"
            for port, number in (("serve", 8000), ("metrics", 8080))
            if named.get(port) != number
        ]
    for port in (
        ray_service(objects)["spec"].get("serveService", {}).get("spec", {}).get("ports", [])
    ):
        if port.get("name") != "serve":
            faults.append(f"the serve service has a port {port.get('name')}")
    return faults


def command_faults(objects: Sequence[Manifest]) -> list[str]:
    """KubeRay writes the command that starts Ray, unless it finds one in the container."""
    faults = []
    for name, template in pod_templates(objects).items():
        ray = template["spec"]["containers"][0]
        if "ray start" in " ".join([*ray.get("command", []), *ray.get("args", [])]):
            faults.append(f"{name}: the container starts Ray itself")
    return faults


def _variables(container: Manifest) -> set[str]:
    return {variable["name"] for variable in container.get("env", [])}


RULES = {
    "name": name_faults,
    "groups": group_faults,
    "head": head_faults,
    "gcs": gcs_faults,
    "autoscaler": autoscaler_faults,
    "token": token_faults,
    "upgrade": upgrade_faults,
    "serve port": serve_port_faults,
    "command": command_faults,
}
