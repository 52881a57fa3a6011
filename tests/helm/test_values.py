"""values.yaml, its schema, and the README's table say the same, and the same as the code."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from helm import values_schema, values_table
from tests.helm.engines import CHART
from tests.helm.manifests import read_yaml

VALUES = (CHART / "values.yaml").read_text()
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
README = (CHART / "README.md").read_text()
OPEN = {
    *("affinity", "tolerations", "topologySpreadConstraints", "valueFrom", "gatewayFrom"),
    *("to", "parentRefs", "options", "extraObjects", "global"),
}
"""Objects of Kubernetes and of storage libraries, whose keys are theirs; Helm's own `global`."""

OF_KUBERNETES = ("podSecurityContext", "securityContext")
"""Their keys are all known, and values.yaml has those that differ from Kubernetes' defaults."""

IN_THE_CODE = ("models", "settings")
"""Their keys are those of cluster.config, most of which values.yaml leaves at their defaults."""


def test_every_key_is_explained() -> None:
    assert values_table.uncommented(VALUES) == []


def test_the_schema_takes_the_defaults() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(read_yaml(VALUES))


def test_the_schema_is_one_that_helm_reads() -> None:
    """Helm 3 reads draft-07; it takes a later draft too, and then ignores what it does not know."""
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    later = {"$defs", "prefixItems", "unevaluatedProperties", "dependentRequired", "minContains"}
    assert not later & {key for key, _ in _parts(SCHEMA)}


def test_every_key_of_the_values_is_in_the_schema_and_the_other_way_round() -> None:
    values = read_yaml(VALUES)
    assert set(SCHEMA["properties"]) - {"global"} == set(values)
    for name in OF_KUBERNETES:
        assert set(values[name]) <= set(SCHEMA["properties"][name]["properties"])
    for name in values.keys() - {*IN_THE_CODE, *OF_KUBERNETES}:
        part = SCHEMA["properties"][name]
        if name == "workerGroups":
            _same_keys(
                SCHEMA["definitions"]["workerGroup"], values[name]["cpu"], "workerGroups.cpu"
            )
        else:
            _same_keys(part, values[name], name)


def test_every_object_refuses_keys_that_it_does_not_know() -> None:
    assert {name for name, part in _objects(SCHEMA) if _is_loose(part)} == OPEN


def test_the_schema_is_in_step_with_the_code() -> None:
    assert values_schema.in_step(SCHEMA) == []


def test_what_a_group_leaves_out_is_as_in_the_default_group() -> None:
    template = (CHART / "templates/_groups.tpl").read_text()
    assert values_schema.group_defaults_in_step(read_yaml(VALUES), template) == []


def test_the_table_in_the_readme_is_of_these_values() -> None:
    assert values_table.with_table(README, VALUES) == README


@pytest.mark.parametrize("section", ["ModelConfig", "PoolConfig", "CacheConfig", "settings"])
def test_a_schema_that_lacks_a_key_of_the_code_is_noticed(section: str) -> None:
    stale = copy.deepcopy(SCHEMA)
    stale["definitions"][section]["properties"].popitem()
    assert [fault.split()[0] for fault in values_schema.in_step(stale)] == [
        f"definitions.{section}"
    ]


def test_a_default_or_a_key_that_is_not_in_step_is_noticed() -> None:
    assert values_table.uncommented("a:\n  # Explained.\n  b: 1\n  c: 2\n") == ["a.c"]
    changed = VALUES.replace("longestJobSeconds: 3600", "longestJobSeconds: 7200")
    assert values_table.with_table(README, changed) != README
    values = read_yaml(VALUES)
    values["workerGroups"]["cpu"]["gpuResource"] = "amd.com/gpu"
    template = (CHART / "templates/_groups.tpl").read_text()
    (fault,) = values_schema.group_defaults_in_step(values, template)
    assert "gpuResource" in fault


def _same_keys(part: dict[str, Any], value: Any, where: str) -> None:
    """That a map has the keys of its schema, and so its maps."""
    part = _resolved(part)
    if "properties" not in part:
        return
    assert set(part["properties"]) == set(value), where
    for name, inner in value.items():
        _same_keys(part["properties"][name], inner, f"{where}.{name}")


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref")
    return SCHEMA["definitions"][reference.rpartition("/")[2]] if reference else part


def _is_loose(part: dict[str, Any]) -> bool:
    return part.get("additionalProperties", True) is True


def _objects(value: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the schema, under its own key or that of the list in which it stands."""
    if isinstance(value, dict):
        if "object" in value.get("type", ()):
            yield name, value
        for key, inner in value.items():
            yield from _objects(inner, name if key in ("items", "properties") else key)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key within, with what stands under it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner)
