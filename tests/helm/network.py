"""NetworkPolicies read as Kubernetes reads them: who reaches which port of which pod.

Policies only add up: a pod that some policy selects is closed but for what the rules of all its
policies open. Source: kubernetes.io/docs/concepts/services-networking/network-policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from tests.helm.manifests import Manifest
from tests.helm.selectors import selects


@dataclass(frozen=True)
class Endpoint:
    """A pod, or with a `namespace` of None an address outside the cluster."""

    namespace: str | None
    labels: Mapping[str, str] = field(default_factory=dict)
    named_ports: Mapping[str, int] = field(default_factory=dict)
    address: str = "203.0.113.7"

    @property
    def namespace_labels(self) -> dict[str, str]:
        """What Kubernetes puts on every namespace."""
        return {"kubernetes.io/metadata.name": str(self.namespace)}


def reaches(
    policies: Sequence[Manifest],
    source: Endpoint,
    target: Endpoint,
    port: int,
    protocol: str = "TCP",
) -> bool:
    """Whether the source may open a connection to a port of the target."""
    return _allowed(policies, "Ingress", target, source, target, port, protocol) and _allowed(
        policies, "Egress", source, target, target, port, protocol
    )


def open_ports(
    policies: Sequence[Manifest], source: Endpoint, target: Endpoint, known: Sequence[int]
) -> set[int]:
    """TCP ports of the target that the source reaches, of the known ones and those in a policy."""
    candidates = {*known, *target.named_ports.values(), *_numbers(policies)}
    return {port for port in candidates if reaches(policies, source, target, port)}


def _allowed(
    policies: Sequence[Manifest],
    direction: str,
    own: Endpoint,
    other: Endpoint,
    target: Endpoint,
    port: int,
    protocol: str,
) -> bool:
    """Whether the policies of one end let the other end through."""
    applied = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == own.namespace
        and direction in policy["spec"]["policyTypes"]
        and _takes(policy["spec"]["podSelector"], own.labels)
    ]
    peers_key = "from" if direction == "Ingress" else "to"
    for policy in applied:
        for rule in policy["spec"].get(direction.lower()) or []:
            _only(rule, {"ports", peers_key})
            ports, peers = rule.get("ports"), rule.get(peers_key)
            through = not peers or any(
                _is_peer(peer, other, policy["metadata"]["namespace"]) for peer in peers
            )
            opened = not ports or any(_is_port(item, target, port, protocol) for item in ports)
            if through and opened:
                return True
    return not applied


def _is_peer(peer: Mapping[str, Any], other: Endpoint, home: str) -> bool:
    _only(peer, {"podSelector", "namespaceSelector", "ipBlock"})
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        inside = ip_address(other.address) in ip_network(block["cidr"])
        return inside and not any(
            ip_address(other.address) in ip_network(hole) for hole in block.get("except", [])
        )
    if other.namespace is None:
        return False
    if "namespaceSelector" in peer:
        at_home = _takes(peer["namespaceSelector"], other.namespace_labels)
    else:
        at_home = other.namespace == home
    return at_home and _takes(peer.get("podSelector") or {}, other.labels)


def _is_port(item: Mapping[str, Any], target: Endpoint, port: int, protocol: str) -> bool:
    _only(item, {"protocol", "port", "endPort"})
    if item.get("protocol", "TCP") != protocol:
        return False
    first = item.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        return target.named_ports.get(first) == port
    return bool(first <= port <= item.get("endPort", first))


def _numbers(policies: Sequence[Manifest]) -> Iterator[int]:
    for policy in policies:
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            for item in rule.get("ports", []):
                if isinstance(item.get("port"), int):
                    yield item["port"]


def _takes(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    _only(selector, {"matchLabels", "matchExpressions"})
    return selects(dict(selector), dict(labels))


def _only(part: Mapping[str, Any], keys: set[str]) -> None:
    unknown = set(part) - keys
    if unknown:
        raise ValueError(f"a NetworkPolicy has no {', '.join(sorted(unknown))} here")
