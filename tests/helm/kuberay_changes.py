"""What `kuberay_rules` must find: changes of a release, and what is said of each."""

from __future__ import annotations

from tests.helm.changes import (
    CLUSTER,
    HEAD,
    HEAD_POD,
    HEAD_RAY,
    REDIS,
    STEPS,
    WORKER,
    WORKER_POD,
    WORKER_RAY,
    Change,
)
from tests.helm.manifests import GONE

KUBERAY_CHANGES: dict[str, list[Change]] = {
    "name": [
        Change("RayService", ("metadata", "name"), "a" * 48, "48 characters, more than 47"),
        Change("RayService", ("metadata", "name"), "Studio", "no DNS-1035 label"),
    ],
    "groups": [
        Change("RayService", (*WORKER, "minReplicas"), 9, "9, 1, 2 are out of order"),
        Change("RayService", (*WORKER, "maxReplicas"), GONE, "lacks minReplicas or maxReplicas"),
        Change("RayService", (*WORKER, "suspend"), True, "is suspended"),
        Change("RayService", (*WORKER, "groupName"), "large", "two groups are called large"),
        Change("RayService", (*HEAD, "resources"), {"CPU": "1"}, "stand in rayStartParams too"),
        Change("RayService", (*WORKER, "rayStartParams", "labels"), "a=b", "may not hold labels"),
        Change("RayService", (*WORKER, "idleTimeoutSeconds"), 5, "without autoscaler v2", {}),
    ],
    "head": [
        Change("RayService", (*HEAD, "rayStartParams", "num-cpus"), "4", "offers CPUs to Ray"),
        Change(
            "RayService",
            (*HEAD_RAY, "resources", "limits", "nvidia.com/gpu"),
            "1",
            "the head asks for nvidia.com/gpu",
        ),
        Change("RayService", (*HEAD_RAY, "ports", 0, "name"), "clients", "port client is None"),
    ],
    "gcs": [
        Change("RayService", (*HEAD, "rayStartParams", "redis-password"), "x", "redis-password"),
        Change("RayService", (*HEAD_RAY, "env", 0, "name"), "RAY_REDIS_ADDRESS", "KubeRay's to"),
        Change(
            "RayService",
            ("metadata", "annotations"),
            {"ray.io/ft-enabled": "true"},
            "ray.io/ft-enabled is replaced",
        ),
        Change(
            "RayService",
            (*CLUSTER, "gcsFaultToleranceOptions", "redisPassword"),
            {"value": "x"},
            "redisPassword stands there in plain text",
            REDIS,
        ),
        Change(
            "RayService",
            (*CLUSTER, "gcsFaultToleranceOptions", "redisAddress"),
            "",
            "has no redisAddress",
            REDIS,
        ),
    ],
    "autoscaler": [
        Change("RayService", (*CLUSTER, "autoscalerOptions", "version"), "v1", "is not v2"),
        Change("RayService", (*WORKER_POD, "restartPolicy"), "Always", "not Never"),
        Change("RayService", (*HEAD_POD, "automountServiceAccountToken"), False, "no token"),
        Change("RayService", (*CLUSTER, "enableInTreeAutoscaling"), False, "autoscalerOptions"),
        Change("RayService", (*HEAD_RAY, "env", 0, "name"), "RAY_enable_autoscaler_v2", "field"),
    ],
    "token": [
        Change("RayService", (*CLUSTER, "rayVersion"), "2.9.3", "tokens need Ray 2.52"),
        Change("RayService", (*CLUSTER, "authOptions"), {}, "neither token nor disabled"),
        Change("RayService", (*CLUSTER, "authOptions", "enableK8sTokenAuth"), True, "cannot have"),
    ],
    "upgrade": [
        Change("RayService", ("spec", "upgradeStrategy", "type"), "Rolling", "type is Rolling"),
        Change(
            "RayService", (*CLUSTER, "enableInTreeAutoscaling"), False, "needs the autosc", STEPS
        ),
        *(
            Change(
                "RayService",
                ("spec", "upgradeStrategy", "clusterUpgradeOptions", key),
                new,
                said,
                STEPS,
            )
            for key, new, said in (
                ("gatewayClassName", "", "needs a gatewayClassName"),
                ("maxSurgePercent", 10, "a step of 20 % with a surge of 10 %"),
                ("intervalSeconds", 0, "intervalSeconds is not positive"),
            )
        ),
    ],
    "serve port": [
        Change("RayService", (*WORKER_RAY, "ports", 1, "name"), "http", "port serve is None"),
        Change("RayService", (*WORKER_RAY, "ports", 0, "containerPort"), 8081, "is 8081, not"),
    ],
    "command": [
        Change("RayService", (*WORKER_RAY, "args"), ["ray start --block"], "starts Ray itself")
    ],
}
