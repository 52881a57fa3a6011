"""The part of the chart's values.schema.json that must agree with the code.

`models` and `settings` are written under `definitions` from the sections of `cluster.config`, so
that `helm template` refuses a misspelt key of a pool. The rest of the file is written by hand.

    python -m helm.values_schema           writes the file anew
    python -m helm.values_schema --check   says what is not in step, with exit code 1
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from cluster.acceleration import PRESETS, ParallelismConfig, QuantizeConfig
from cluster.config import ClusterConfig
from cluster.results import SECRET_OPTIONS
from cluster.sections import Section
from cluster.tiers import Tier

CHART = Path(__file__).parent / "dit-serve"
SCHEMA = CHART / "values.schema.json"

Schema = dict[str, Any]

_SIZE = {"type": ["integer", "string", "null"], "minimum": 1, "pattern": "^auto$"}
_MASK = {
    "type": ["string", "array", "null"],
    "pattern": f"^({'|'.join(PRESETS)})$",
    "items": {"enum": [0, 1]},
    "minItems": 1,
}
_NAME = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"}


def generated() -> dict[str, Schema]:
    """The definitions that come from the code, by name: `settings`, `PoolConfig`, ..."""
    schema = ClusterConfig.model_json_schema()
    nullable = set(_nullable(schema))
    definitions = {name: _draft_07(part) for name, part in schema.pop("$defs").items()}
    settings = _draft_07(schema)
    for name in nullable:
        definitions[name]["type"] = [definitions[name]["type"], "null"]
    del settings["properties"]["models"], settings["required"]
    # The template refuses it, in a sentence that says where it belongs.
    settings["properties"]["database_url"] = {}
    for section in _sections(Section):
        _with_old_names(definitions.get(section.__name__), section)
    _as_validated(definitions)
    return {"settings": settings, **definitions}


def in_step(document: Mapping[str, Any]) -> list[str]:
    """What of a values.schema.json differs from the code, a sentence each."""
    there = document["definitions"]
    return [
        f"definitions.{name} is not what cluster.config says; run python -m helm.values_schema"
        for name, part in generated().items()
        if there.get(name) != part
    ]


def group_defaults_in_step(values: Mapping[str, Any], template: str) -> list[str]:
    """What dit-serve.groupDefaults says otherwise than values.yaml does of the group `cpu`."""
    block = re.search(r'define "dit-serve.groupDefaults" -\}\}(.*?)\{\{- end', template, re.DOTALL)
    if block is None:
        return ["_groups.tpl: has no dit-serve.groupDefaults"]
    defaults, group = yaml.safe_load(block[1]), values["workerGroups"]["cpu"]
    return [
        f"_groups.tpl: dit-serve.groupDefaults: {key} is not as in values.yaml for the group cpu"
        for key in sorted(defaults.keys() | group.keys())
        if key not in defaults or key not in group or defaults[key] != group[key]
    ]


def _nullable(part: Any) -> Iterator[str]:
    """The sections that may be null somewhere."""
    if isinstance(part, dict):
        match part.get("anyOf"):
            case [{"$ref": reference}, {"type": "null"}]:
                yield reference.removeprefix("#/$defs/")
    if isinstance(part, dict | list):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from _nullable(inner)


def _draft_07(part: Any) -> Any:
    """Without titles, defaults and descriptions, and with the references of draft-07.

    "This or null" becomes a list of types: of alternatives, Helm only says that none fits.
    """
    if isinstance(part, list):
        return [_draft_07(item) for item in part]
    if not isinstance(part, dict):
        return part
    kept: Schema = {}
    for key, value in part.items():
        if key == "$ref":
            kept[key] = value.replace("#/$defs/", "#/definitions/")
        elif key == "properties":
            kept[key] = {name: _draft_07(inner) for name, inner in value.items()}
        elif key == "anyOf" and value[1:] == [{"type": "null"}]:
            kept |= _draft_07(value[0])
            if "type" in kept:
                kept["type"] = [kept["type"], "null"]
        elif key not in ("title", "default", "description"):
            kept[key] = _draft_07(value)
    return kept


def _sections(base: type[Section]) -> Iterator[type[Section]]:
    for section in base.__subclasses__():
        yield section
        yield from _sections(section)


def _with_old_names(definition: Schema | None, section: type[Section]) -> None:
    if definition is not None:
        for old, new in section.old_names.items():
            definition["properties"][old] = definition["properties"][new]


def _as_validated(definitions: dict[str, Schema]) -> None:
    """What validators in the code accept or refuse, and pydantic's schema does not tell."""
    for name in ("ModelConfig", "PoolConfig"):
        definitions[name]["properties"]["name"] = _NAME
    definitions["ModelConfig"]["properties"]["pools"]["minItems"] = 1
    definitions["ModelConfig"]["properties"]["default_size"]["pattern"] = "^[0-9]+x[0-9]+$"
    for name in ("CacheConfig", "TierConfig"):
        definitions[name]["properties"]["steps_computation_mask"] = _MASK
    sizes = [key for key in ParallelismConfig.model_fields if key.endswith("_size")]
    spelt = {old for old, new in ParallelismConfig.old_names.items() if new in sizes}
    for key in (*sizes, *spelt):
        definitions["ParallelismConfig"]["properties"][key] = _SIZE
    definitions["QuantizeConfig"]["properties"]["quant_type"]["enum"] += QuantizeConfig.old_types
    definitions["PoolConfig"]["properties"]["tiers"] = _tiers(definitions["TierConfig"])
    # The word `none` stands for a mapping.
    definitions["AuthConfig"] |= {"type": ["object", "string"], "pattern": "^none$"}
    options = definitions["ResultsConfig"]["properties"]["options"]
    options["propertyNames"] = {"not": {"enum": sorted(SECRET_OPTIONS)}}


def _tiers(tier: Schema) -> Schema:
    """A list of names, or a map from names to settings, bare or under cache_config."""
    tier["type"] = ["object", "null"]
    tier["properties"]["cache_config"] = {"$ref": "#/definitions/CacheConfig"}
    return {
        "type": ["array", "object"],
        "items": {"$ref": "#/definitions/Tier"},
        "minItems": 1,
        "uniqueItems": True,
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {name.value: {"$ref": "#/definitions/TierConfig"} for name in Tier},
    }


def main(arguments: list[str]) -> int:
    document = json.loads(SCHEMA.read_text())
    if arguments == ["--check"]:
        faults = in_step(document) + group_defaults_in_step(
            yaml.safe_load((CHART / "values.yaml").read_text()),
            (CHART / "templates/_groups.tpl").read_text(),
        )
        print("\n".join(faults) or "values.schema.json is in step with the code")
        return bool(faults)
    document["definitions"] |= generated()
    SCHEMA.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
