"""Each checker of this folder can fail: a right release, one thing changed, and what is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helm.changes import FULL, Change
from tests.helm.engines import Helm4
from tests.helm.kuberay_changes import KUBERAY_CHANGES
from tests.helm.kuberay_rules import RULES as KUBERAY
from tests.helm.manifests import Manifest, parsed
from tests.helm.object_changes import SCHEMA_CHANGES, SELECTOR_CHANGES, SELECTOR_RULE_CHANGES
from tests.helm.pod_changes import POD_CHANGES
from tests.helm.pod_rules import RULES as PODS
from tests.helm.schemas import object_faults
from tests.helm.selectors import RULES as SELECTORS
from tests.helm.selectors import selector_faults

OTHER_RELEASE = "studio-b"
RULES: dict[str, Callable[[Sequence[Manifest]], list[str]]] = {**KUBERAY, **PODS, **SELECTORS}
CHANGES = {**KUBERAY_CHANGES, **POD_CHANGES, **SELECTOR_RULE_CHANGES}

Render = Callable[..., list[Manifest]]


@pytest.fixture(scope="module")
def release(helm4: Helm4) -> Render:
    """A release with these values, rendered once for each."""
    made: dict[str, list[Manifest]] = {}

    def render(values: Mapping[str, Any] | None = None, release: str = "studio") -> list[Manifest]:
        values = FULL if values is None else values
        key = f"{release} {values}"
        if key not in made:
            made[key] = helm4.render(over=values, release=release)
        return made[key]

    return render


def test_every_rule_is_seen_to_fail() -> None:
    assert set(CHANGES) == set(RULES)


@pytest.mark.parametrize(
    ("rule", "change"),
    [(rule, change) for rule, changes in CHANGES.items() for change in changes],
    ids=lambda value: value if isinstance(value, str) else value.said,
)
def test_a_rule_tells_what_is_wrong(release: Render, rule: str, change: Change) -> None:
    right = release(change.values)
    assert RULES[rule](right) == []
    faults = RULES[rule](change.of(right))
    assert any(change.said in fault for fault in faults), faults


@pytest.mark.parametrize("change", SELECTOR_CHANGES, ids=lambda change: change.said)
def test_a_selector_that_catches_wrong_pods_is_told(release: Render, change: Change) -> None:
    right, others = release(), release(release=OTHER_RELEASE)
    assert selector_faults(right, others) == []
    faults = selector_faults(change.of(right), others)
    assert any(change.said in fault for fault in faults), faults


def test_schemas_tell_every_wrong_key(release: Render, tools: Path) -> None:
    right = release()
    assert object_faults(right, tools) == []
    wrong = [
        manifest
        for change in SCHEMA_CHANGES
        for manifest in change.of(right)
        if manifest not in right
    ]
    assert len(wrong) == len(SCHEMA_CHANGES)
    faults = object_faults(wrong, tools)
    untold = [c.said for c in SCHEMA_CHANGES if not any(c.said in fault for fault in faults)]
    assert untold == []


def test_a_key_that_stands_twice_is_no_yaml() -> None:
    with pytest.raises(ValueError, match=re.escape("labels stands twice at line 2")):
        parsed("metadata:\n  labels: {}\n  labels: {}\n")
