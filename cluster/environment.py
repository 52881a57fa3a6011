"""Defaults for every pool from environment variables, below what the config file says.

The environment comes as an argument; nothing here reads the process's own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from pydantic import ValidationError

from cluster.acceleration import CacheConfig
from cluster.errors import ConfigError
from cluster.sections import reason, shown
from cluster.tiers import Tier
from cluster.variables import CACHE_KEYS, ENABLED, PREFIX, READERS, SCM_PRESET, SETS


@dataclass(frozen=True)
class EnvironmentDefaults:
    """The values of the variables that are set, by their names."""

    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cache(self) -> dict[str, Any]:
        """The keys of `cache_config` that are given."""
        return {
            CACHE_KEYS[name]: value for name, value in self.values.items() if name in CACHE_KEYS
        }

    @property
    def disabled(self) -> bool:
        return self.values.get(ENABLED) is False

    def without(self, variables: Collection[str]) -> EnvironmentDefaults:
        """The same as if these variables were not set."""
        return EnvironmentDefaults({k: v for k, v in self.values.items() if k not in variables})

    def applied_to(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """The args of the application with these defaults where they state nothing.

        The preset becomes the model's `default_tier`. As the mask of the pools it would be every
        tier's, and the tiers would differ no more. `ENABLED=false` leaves a pool that names no
        tiers only `none`, which then is the model's default as well, whatever the preset says.
        What is no mapping stays as it is, for the validation to tell.
        """
        models = args.get("models")
        if not self.values or not isinstance(models, list | tuple):
            return dict(args)
        return {**args, "models": [self._model(model) for model in models]}

    def _model(self, model: Any) -> Any:
        if not isinstance(model, Mapping):
            return model
        changed = dict(model)
        pools = model.get("pools")
        pools = [self._pool(pool) for pool in pools] if isinstance(pools, list | tuple) else []
        if pools:
            changed["pools"] = pools
        default = self.values.get(SCM_PRESET)
        if self.disabled and any(Tier.NONE in _tiers_of(pool) for pool in pools):
            default = Tier.NONE
        if default is not None:
            changed.setdefault("default_tier", default.value)
        return changed

    def _pool(self, pool: Any) -> Any:
        if not isinstance(pool, Mapping):
            return pool
        changed = dict(pool)
        if self.disabled:
            changed.setdefault("tiers", [Tier.NONE.value])
        stated = pool.get("cache_config", {})
        if self.cache and isinstance(stated, Mapping):
            names = {CacheConfig.old_names.get(key, key) for key in stated}
            ours = {key: value for key, value in self.cache.items() if key not in names}
            changed["cache_config"] = {**ours, **stated}
        return changed


def read_environment(environment: Mapping[str, str]) -> EnvironmentDefaults:
    """The defaults that the variables with our prefix set.

    Raises:
        ConfigError: one line per unknown variable or bad value, each begins with the variable.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name in sorted(environment):
        if not name.startswith(PREFIX):
            continue
        try:
            if name not in READERS:
                raise ValueError(f"unknown variable; {_hint(name)}")
            values[name] = READERS[name](environment[name])
            _check_alone(name, values[name])
        except ValueError as error:
            faults.append(f"{shown(name)}: {error}")
    if faults:
        raise ConfigError("\n".join(faults))
    return EnvironmentDefaults(values)


def blamed(
    lines: list[str],
    defaults: EnvironmentDefaults,
    lines_under: Callable[[EnvironmentDefaults], list[str]],
) -> list[str]:
    """The lines, and after each that the environment has a part in, which variables set what.

    A variable has a part in a fault that is not there, or reads otherwise, without it.
    `lines_under` gives the faults of the same config under other defaults.
    """
    without_all = lines_under(EnvironmentDefaults())
    if not defaults.values or all(line in without_all for line in lines):
        return lines
    without = {name: lines_under(defaults.without({name})) for name in defaults.values}

    def told(line: str) -> str:
        if line in without_all:
            return line
        guilty = [name for name in without if line not in without[name]] or list(without)
        return f"{line} ({', '.join(f'{name} sets {SETS[name]}' for name in guilty)})"

    return [told(line) for line in lines]


def _hint(name: str) -> str:
    """The variable that is nearest by its own name or by the key that it sets."""
    given = name.removeprefix(PREFIX)
    words = {known.removeprefix(PREFIX): known for known in READERS}
    words |= {key.upper(): known for known, key in SETS.items()}

    def likeness(word: str) -> tuple[float, bool]:
        return SequenceMatcher(None, word, given.upper()).ratio(), word[0] == given.upper()[:1]

    near = max(words, key=likeness)
    if likeness(near)[0] >= 0.5:
        return f"did you mean {words[near]}?"
    return f"the variables are {', '.join(READERS)}"


def _check_alone(name: str, value: Any) -> None:
    """Whether the section takes the value; what it says with others is for the whole config."""
    key = CACHE_KEYS.get(name)
    if key is None:
        return
    try:
        CacheConfig.model_validate({key: value})
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            if fault["loc"][:1] == (key,):
                given = "" if "(given:" in reason(fault) else f" (given: {shown(repr(value))})"
                raise ValueError(f"{reason(fault)}{given}") from None


def _tiers_of(pool: Any) -> Collection[Any]:
    tiers = pool.get("tiers", tuple(Tier)) if isinstance(pool, Mapping) else ()
    return tiers if isinstance(tiers, Collection) else ()
