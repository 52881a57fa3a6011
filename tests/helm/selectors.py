"""Which pods the chart's selectors catch, of all that KubeRay makes of two releases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.helm.kuberay import FIRST_CLUSTER, NEXT_CLUSTER, pods, redis_cleanup_pod
from tests.helm.manifests import Manifest, of_kind, pod_templates

Selector = dict[str, Any]


def selects(selector: Selector, labels: dict[str, str]) -> bool:
    """Whether a label selector catches an object with these labels; an empty one catches all."""
    return all(
        labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()
    ) and all(_expression(one, labels) for one in selector.get("matchExpressions", []))


def _expression(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return (key in labels) == (operator == "Exists")
    if operator == "In":
        return labels.get(key) in expression["values"]
    if operator == "NotIn":
        return labels.get(key) not in expression["values"]
    raise ValueError(f"no operator {operator}")


def pod_selectors(objects: Sequence[Manifest]) -> Iterator[tuple[str, Selector]]:
    """Selectors of pods of this release, each with words for where it stands."""
    for manifest in objects:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        spec = manifest.get("spec", {})
        if kind == "Service":
            yield f"Service {name}", {"matchLabels": spec["selector"]}
        elif kind in ("PodDisruptionBudget", "PodMonitor"):
            yield f"{kind} {name}", spec["selector"]
        elif kind == "NetworkPolicy":
            yield f"NetworkPolicy {name}", spec["podSelector"]
            yield from ((f"peer of NetworkPolicy {name}", one) for one in _own_peers(spec))
    for group, template in pod_templates(objects).items():
        for selector in _placement_selectors(template["spec"]):
            yield f"placement of {group}", selector


def _own_peers(spec: Manifest) -> Iterator[Selector]:
    """Peers in the policy's own namespace."""
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction, []):
            for peer in rule.get(side, []):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    yield peer["podSelector"]


def _placement_selectors(spec: Manifest) -> Iterator[Selector]:
    for constraint in spec.get("topologySpreadConstraints", []):
        yield constraint["labelSelector"]
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = spec.get("affinity", {}).get(kind, {})
        for term in terms.get("requiredDuringSchedulingIgnoredDuringExecution", []):
            yield term["labelSelector"]
        for term in terms.get("preferredDuringSchedulingIgnoredDuringExecution", []):
            yield term["podAffinityTerm"]["labelSelector"]


def selector_faults(objects: Sequence[Manifest], others: Sequence[Manifest]) -> list[str]:
    """Each selector catches pods of this release, before and after an upgrade, and no others.

    Args:
        others: the objects of another release in the same namespace.
    """
    foreign = [pod for suffix in (FIRST_CLUSTER, NEXT_CLUSTER) for pod in pods(others, suffix)]
    faults = []
    for where, selector in pod_selectors(objects):
        if any(selects(selector, _labels(pod)) for pod in foreign):
            faults.append(f"{where} catches pods of another release")
        for suffix in (FIRST_CLUSTER, NEXT_CLUSTER):
            own = pods(objects, suffix)
            if not any(selects(selector, _labels(pod)) for pod in own):
                faults.append(f"{where} catches no pod of cluster {suffix}")
    return faults


def target_faults(objects: Sequence[Manifest]) -> list[str]:
    """Services have heads behind them, budgets count workers, monitors and policies see all."""
    faults = []
    for suffix in (FIRST_CLUSTER, NEXT_CLUSTER):
        made = pods(objects, suffix)
        heads, workers = made[:1], made[1:]
        wanted: dict[str, tuple[list[Manifest], Callable[[Manifest], Selector]]] = {
            "Service": (heads, lambda m: {"matchLabels": m["spec"]["selector"]}),
            "PodDisruptionBudget": (workers, lambda m: m["spec"]["selector"]),
            "PodMonitor": (made, lambda m: m["spec"]["selector"]),
        }
        every = [*made, redis_cleanup_pod(objects, suffix), *of_kind(objects, "Pod")]
        for kind, (right, selector_of) in wanted.items():
            selectors = [selector_of(manifest) for manifest in of_kind(objects, kind)]
            wrong = [
                pod["metadata"]["name"]
                for pod in every
                if pod not in right and any(selects(s, _labels(pod)) for s in selectors)
            ]
            faults += [f"{kind} catches {name}" for name in wrong]
            if selectors and kind != "PodDisruptionBudget":
                faults += [
                    f"{kind} misses {pod['metadata']['name']}"
                    for pod in right
                    if not any(selects(s, _labels(pod)) for s in selectors)
                ]
        policies = [m["spec"]["podSelector"] for m in of_kind(objects, "NetworkPolicy")]
        faults += [
            f"no NetworkPolicy covers {pod['metadata']['name']}"
            for pod in made
            if policies and not any(selects(s, _labels(pod)) for s in policies)
        ]
    return faults


def service_monitor_faults(objects: Sequence[Manifest]) -> list[str]:
    """Each ServiceMonitor finds a service of the chart, and a port of that name there."""
    faults = []
    for monitor in of_kind(objects, "ServiceMonitor"):
        found = [
            service
            for service in of_kind(objects, "Service")
            if selects(monitor["spec"]["selector"], _labels(service))
        ]
        if not found:
            faults.append(f"ServiceMonitor {monitor['metadata']['name']} finds no service")
        ports = {port["name"] for service in found for port in service["spec"]["ports"]}
        asked = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
        faults += [f"ServiceMonitor asks for port {port}" for port in sorted(asked - ports)]
    return faults


def port_name_faults(objects: Sequence[Manifest]) -> list[str]:
    """Ports that are meant by name exist on the pods that are meant."""
    faults = []
    for manifest in objects:
        kind, name, spec = manifest["kind"], manifest["metadata"]["name"], manifest.get("spec", {})
        if kind == "Service":
            selector = {"matchLabels": spec["selector"]}
            asked = {port.get("targetPort", port["port"]) for port in spec["ports"]}
        elif kind == "PodMonitor":
            selector = spec["selector"]
            asked = {endpoint["port"] for endpoint in spec["podMetricsEndpoints"]}
        elif kind == "NetworkPolicy":
            selector = spec["podSelector"]
            asked = {
                port["port"] for rule in spec.get("ingress", []) for port in rule.get("ports", [])
            }
        else:
            continue
        for pod in pods(objects):
            if selects(selector, _labels(pod)):
                has = _ports(pod)
                faults += [
                    f"{kind} {name}: {pod['metadata']['name']} has no port {port}"
                    for port in sorted(asked - has, key=str)
                ]
    return faults


def backend_faults(objects: Sequence[Manifest]) -> list[str]:
    """What leads traffic in names the service that KubeRay makes, and its port."""
    expected = {
        (f"{m['metadata']['name']}-serve-svc", 8000) for m in of_kind(objects, "RayService")
    }
    faults = []
    for ingress in of_kind(objects, "Ingress"):
        paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
        services = [path["backend"]["service"] for path in paths]
        named = {(service["name"], service["port"].get("number")) for service in services}
        faults += [f"Ingress leads to {wrong}" for wrong in sorted(named - expected, key=str)]
    for route in of_kind(objects, "HTTPRoute"):
        references = [ref for rule in route["spec"]["rules"] for ref in rule["backendRefs"]]
        named = {(reference["name"], reference["port"]) for reference in references}
        faults += [f"HTTPRoute leads to {wrong}" for wrong in sorted(named - expected, key=str)]
    return faults


def _ports(pod: Manifest) -> set[str | int]:
    ports = [port for c in pod["spec"]["containers"] for port in c.get("ports", [])]
    return {port["containerPort"] for port in ports} | {port["name"] for port in ports}


def _labels(manifest: Manifest) -> dict[str, str]:
    return manifest["metadata"].get("labels", {})


RULES = {
    "targets": target_faults,
    "service monitor": service_monitor_faults,
    "port names": port_name_faults,
    "backends": backend_faults,
}
