"""What must be true of the pods that KubeRay makes: volumes, secrets, rights, labels.

Each function takes the objects of a release and returns a sentence for each fault. All containers
are looked at, KubeRay's own as well: the autoscaler beside the head, and what workers wait with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from tests.helm.image import image
from tests.helm.kuberay import autoscales, is_head, pods
from tests.helm.manifests import (
    Manifest,
    of_kind,
    pod_templates,
    ray_cluster,
    serve_config,
    strings,
)

SECRET_NAME = re.compile(
    r"TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIAL|(^|_)KEY($|_)|DATABASE_URL", re.I
)
URL_WITH_PASSWORD = re.compile(r"\w://[^/\s:@]+:[^/\s@$]+@")


def volume_faults(objects: Sequence[Manifest]) -> list[str]:
    """Mounts and volumes name each other, and no container mounts two volumes at one path."""
    faults = []
    for pod in _all_pods(objects):
        name = pod["metadata"]["name"]
        volumes = [volume["name"] for volume in pod["spec"].get("volumes", [])]
        faults += [f"{name}: two volumes {v}" for v in sorted({*volumes}) if volumes.count(v) > 1]
        mounted = set()
        for container in _containers(pod):
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            where = f"{name}/{container['name']}"
            faults += [
                f"{where}: two mounts at {p}" for p in sorted({*paths}) if paths.count(p) > 1
            ]
            names = {mount["name"] for mount in container.get("volumeMounts", [])}
            faults += [f"{where}: no volume {v} to mount" for v in sorted(names - {*volumes})]
            mounted |= names
        faults += [f"{name}: volume {v} is mounted nowhere" for v in sorted({*volumes} - mounted)]
    return faults


def claim_faults(objects: Sequence[Manifest]) -> list[str]:
    """Claims of the chart are used, and what it makes is named as in the volumes."""
    made = {claim["metadata"]["name"] for claim in of_kind(objects, "PersistentVolumeClaim")}
    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in _all_pods(objects)
        for volume in pod["spec"].get("volumes", [])
        if "persistentVolumeClaim" in volume
    }
    return [f"claim {name} is used by no pod" for name in sorted(made - used)]


def writable_faults(objects: Sequence[Manifest]) -> list[str]:
    """With a read-only root file system, what Ray and the code write lies on a volume."""
    faults = []
    for pod in _all_pods(objects):
        if "ray.io/cluster" not in pod["metadata"]["labels"]:
            continue
        for container in pod["spec"]["containers"]:
            if not container.get("securityContext", {}).get("readOnlyRootFilesystem"):
                continue
            mounts = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
            where = f"{pod['metadata']['name']}/{container['name']}"
            faults += [
                f"{where}: {path} is not writable"
                for path in _written(container, pod, serve_config(objects))
                if not _lies_on(path, mounts)
            ]
    return faults


def _written(container: Manifest, pod: Manifest, config: Manifest) -> list[str]:
    """Paths that a container of that pod writes."""
    if container["name"] == "autoscaler":
        return ["/tmp", "/tmp/ray"]
    given = {v["name"]: v["value"] for v in container["env"] if isinstance(v.get("value"), str)}
    variables = {**image().variables, **given}
    # Ray's logs and spilled objects, its object store, and caches of compilers and libraries.
    paths = ["/tmp/ray", "/dev/shm", variables["HOME"]]
    if is_head(pod):
        return paths
    if variables.get("HF_HUB_OFFLINE") != "1":
        paths.append(variables["HF_HOME"])
    args = config["applications"][0]["args"]
    results = args.get("results", {}).get("url", f"{image().workdir}/var")
    paths += [results] if results.startswith("/") else []
    return paths if "database_url" in args else [*paths, f"{image().workdir}/var"]


def _lies_on(path: str, mounts: set[str]) -> bool:
    whole = PurePosixPath(path)
    return any(whole.is_relative_to(mount) for mount in mounts)


def secret_faults(objects: Sequence[Manifest]) -> list[str]:
    """Secrets come by reference: none is made by the chart, and none stands in a variable."""
    faults = [
        f"the chart makes a Secret {s['metadata']['name']}" for s in of_kind(objects, "Secret")
    ]
    for pod in _all_pods(objects):
        for container in _containers(pod):
            faults += [
                f"{pod['metadata']['name']}/{container['name']}: {variable['name']} in plain text"
                for variable in container.get("env", [])
                if SECRET_NAME.search(variable["name"]) and variable.get("value")
            ]
    faults += [
        f"{manifest['kind']} {manifest['metadata']['name']}: a password in {path}"
        for manifest in objects
        for path, text in strings(manifest)
        if URL_WITH_PASSWORD.search(text)
    ]
    database = serve_config(objects)["applications"][0]["args"].get("database_url")
    if database is not None and not database.startswith("env:"):
        faults.append("database_url stands in the Serve config itself")
    return faults


def rights_faults(objects: Sequence[Manifest]) -> list[str]:
    """No root, no capability beyond IPC_LOCK for RDMA, no writable root file system."""
    faults = []
    for pod in _all_pods(objects):
        name, spec = pod["metadata"]["name"], pod["spec"]
        whole = spec.get("securityContext", {})
        if not whole.get("runAsNonRoot") or not whole.get("runAsUser"):
            faults.append(f"{name}: may run as root")
        if whole.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            faults.append(f"{name}: no seccomp profile")
        faults += [
            f"{name}: {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)
        ]
        limits = [c.get("resources", {}).get("limits", {}) for c in _containers(pod)]
        rdma = any("rdma" in resource for limit in limits for resource in limit)
        for container in _containers(pod):
            faults += [
                f"{name}/{container['name']}: {fault}"
                for fault in _container_faults(container, {"IPC_LOCK"} if rdma else set())
            ]
    return faults


def _container_faults(container: Manifest, allowed: set[str]) -> Iterator[str]:
    rights = container.get("securityContext", {})
    if rights.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if not rights.get("readOnlyRootFilesystem"):
        yield "has a writable root file system"
    if rights.get("privileged"):
        yield "is privileged"
    capabilities = rights.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"]:
        yield "keeps capabilities"
    extra = {*capabilities.get("add", [])} - allowed
    if extra:
        yield f"adds {', '.join(sorted(extra))}"


def service_account_faults(objects: Sequence[Manifest]) -> list[str]:
    """Pods have a token for the Kubernetes API only where the autoscaler needs it."""
    needed = autoscales(ray_cluster(objects))
    faults = []
    for pod in _all_pods(objects):
        wanted = needed and pod["metadata"]["labels"].get("ray.io/node-type") == "head"
        automount = pod["spec"].get("automountServiceAccountToken")
        if wanted and automount is not True:
            faults.append(f"{pod['metadata']['name']}: the autoscaler has no token")
        if not wanted and automount is not False:
            faults.append(f"{pod['metadata']['name']}: has a token that nothing needs")
    made = {account["metadata"]["name"] for account in of_kind(objects, "ServiceAccount")}
    used = {t["spec"].get("serviceAccountName") for t in pod_templates(objects).values()}
    return faults + [f"service account {name} is used by no pod" for name in sorted(made - used)]


def template_label_faults(objects: Sequence[Manifest]) -> list[str]:
    """What changes with every release of the chart stands in no pod template.

    KubeRay compares templates, and any difference makes a whole new cluster.
    """
    faults = []
    for name, template in pod_templates(objects).items():
        metadata = template.get("metadata", {})
        keys = [*metadata.get("labels", {}), *metadata.get("annotations", {})]
        faults += [
            f"{name}: {key} changes with the chart"
            for key in keys
            if key in ("helm.sh/chart", "app.kubernetes.io/version") or key.startswith("checksum/")
        ]
    return faults


def variable_faults(objects: Sequence[Manifest]) -> list[str]:
    """No container has a variable twice, of which the last would win."""
    faults = []
    for pod in _all_pods(objects):
        for container in _containers(pod):
            names = [variable["name"] for variable in container.get("env", [])]
            where = f"{pod['metadata']['name']}/{container['name']}"
            faults += [f"{where}: {n} twice" for n in sorted({*names}) if names.count(n) > 1]
    return faults


def resource_faults(objects: Sequence[Manifest]) -> list[str]:
    """Workers have what they ask for: GPUs, CPUs and memory as request and limit alike.

    Ray offers a pod's limits as its own resources; and shared memory counts as memory of the pod.
    """
    faults = []
    for name, template in pod_templates(objects).items():
        resources = template["spec"]["containers"][0].get("resources", {})
        requests, limits = resources.get("requests", {}), resources.get("limits", {})
        faults += [f"{name}: no limit of {r}" for r in ("cpu", "memory") if r not in limits]
        if name != "head" and requests != limits:
            faults.append(f"{name}: requests and limits differ")
    return faults


def grace_faults(objects: Sequence[Manifest]) -> list[str]:
    """A pod that is to go has longer than any wait that its hook makes for the work it does."""
    faults = []
    for name, template in pod_templates(objects).items():
        grace = template["spec"].get("terminationGracePeriodSeconds", 30)
        hook = template["spec"]["containers"][0].get("lifecycle", {}).get("preStop", {})
        words = " ".join(hook.get("exec", {}).get("command", []))
        waits = [int(seconds) for seconds in re.findall(r"--deadline-s[= ](\d+)", words)]
        if any(wait >= grace for wait in waits):
            faults.append(f"{name}: drains for {max(waits)} s within {grace} s")
    return faults


def _all_pods(objects: Sequence[Manifest]) -> list[Manifest]:
    """Ray's pods and those that the chart makes itself, for `helm test`."""
    bare = [{**p, "metadata": {"labels": {}, **p["metadata"]}} for p in of_kind(objects, "Pod")]
    return [*pods(objects), *bare]


def _containers(pod: Manifest) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


RULES = {
    "volumes": volume_faults,
    "claims": claim_faults,
    "writable paths": writable_faults,
    "secrets": secret_faults,
    "rights": rights_faults,
    "service account": service_account_faults,
    "labels of templates": template_label_faults,
    "variables": variable_faults,
    "resources": resource_faults,
    "grace period": grace_faults,
}
