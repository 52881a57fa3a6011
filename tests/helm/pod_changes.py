"""What `pod_rules` must find: changes of a release, and what is said of each."""

from __future__ import annotations

from tests.helm.changes import (
    CLUSTER,
    HEAD,
    HEAD_POD,
    WORKER,
    WORKER_POD,
    WORKER_RAY,
    Change,
)
from tests.helm.manifests import GONE

LABELS = ("template", "metadata", "labels")

POD_CHANGES: dict[str, list[Change]] = {
    "volumes": [
        Change("RayService", (*WORKER_POD, "volumes", 0, "name"), "scrap", "no volume scratch"),
        Change("RayService", (*HEAD_POD, "volumes", 0, "name"), "scrap", "scrap is mounted now"),
        Change("RayService", (*WORKER_RAY, "volumeMounts", 0, "mountPath"), "/dev/shm", "two mo"),
        Change("RayService", (*WORKER_POD, "volumes", 1, "name"), "scratch", "two volumes scr"),
    ],
    "claims": [
        Change("PersistentVolumeClaim", ("metadata", "name"), "other", "other is used by no pod")
    ],
    "writable paths": [
        Change(
            "RayService",
            (*WORKER_RAY, "volumeMounts", 0),
            {"name": "a", "mountPath": "/a"},
            "/tmp/ray is not writable",
        ),
        Change(
            "RayService",
            (*CLUSTER, "autoscalerOptions", "volumeMounts"),
            [],
            "/tmp is not writable",
        ),
    ],
    "secrets": [
        Change(
            "RayService",
            (*WORKER_RAY, "env", 0),
            {"name": "HF_TOKEN", "value": "hf"},
            "HF_TOKEN in plain",
        ),
        Change("RayService", (*WORKER_RAY, "args"), ["a://me:secret@host"], "a password in spec"),
        Change("ServiceAccount", ("kind",), "Secret", "the chart makes a Secret"),
    ],
    "rights": [
        Change("RayService", (*WORKER_POD, "securityContext", "runAsNonRoot"), False, "as root"),
        Change("RayService", (*WORKER_POD, "securityContext", "runAsUser"), 0, "as root"),
        Change("RayService", (*HEAD_POD, "securityContext", "seccompProfile"), GONE, "no seccomp"),
        Change("RayService", (*WORKER_POD, "hostNetwork"), True, "hostNetwork"),
        Change(
            "RayService",
            (*CLUSTER, "autoscalerOptions", "securityContext"),
            GONE,
            "autoscaler: may gain",
        ),
        *(
            Change("RayService", (*WORKER_RAY, "securityContext", key), new, said)
            for key, new, said in (
                ("allowPrivilegeEscalation", True, "may gain privileges"),
                ("readOnlyRootFilesystem", False, "has a writable root file system"),
                ("privileged", True, "is privileged"),
                ("capabilities", {}, "keeps capabilities"),
                ("capabilities", {"drop": ["ALL"], "add": ["IPC_LOCK"]}, "adds IPC_LOCK"),
            )
        ),
    ],
    "service account": [
        Change(
            "RayService", (*WORKER_POD, "automountServiceAccountToken"), GONE, "that nothing needs"
        ),
        Change("ServiceAccount", ("metadata", "name"), "other", "other is used by no pod"),
    ],
    "labels of templates": [
        Change(
            "RayService",
            (*WORKER, *LABELS, "helm.sh/chart"),
            "dit-serve-0.1.0",
            "helm.sh/chart changes",
        ),
        Change(
            "RayService",
            (*HEAD, "template", "metadata", "annotations"),
            {"checksum/config": "1"},
            "checksum/config changes",
        ),
    ],
    "variables": [
        Change("RayService", (*WORKER_RAY, "env", 0, "name"), "HF_HOME", "HF_HOME twice")
    ],
    "resources": [
        Change("RayService", (*WORKER_RAY, "resources", "requests", "cpu"), "1", "differ"),
        Change(
            "RayService", (*WORKER_RAY, "resources", "limits", "memory"), GONE, "no limit of mem"
        ),
    ],
    "grace period": [
        Change(
            "RayService",
            (*WORKER_POD, "terminationGracePeriodSeconds"),
            3600,
            "drains for 3600 s within 3600 s",
        )
    ],
}
