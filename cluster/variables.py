"""The environment variables that set defaults: their names and how each is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from cluster.sections import shown
from cluster.tiers import Tier

PREFIX = "DIT_SERVE_CACHE_DIT_"
ENABLED = f"{PREFIX}ENABLED"
SCM_PRESET = f"{PREFIX}SCM_PRESET"
_TRUE = ("true", "1", "on", "yes")
_FALSE = ("false", "0", "off", "no")


def _whole_number(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
        raise ValueError(f"must be a whole number (given: {shown(repr(text))})")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"must be a number (given: {shown(repr(text))})") from None


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(f"must be one of {', '.join(_TRUE + _FALSE)} (given: {shown(repr(text))})")
    return word in _TRUE


def _bins(text: str) -> tuple[int, ...]:
    try:
        return tuple(_whole_number(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"must be whole numbers with commas between, such as 4,1,1 (given: {shown(repr(text))})"
        ) from None


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text in words:
            return text
        near = get_close_matches(text, words, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"must be one of {', '.join(words)} (given: {shown(repr(text))}){hint}")

    return read


def _preset(text: str) -> Tier:
    return Tier(_one_of(*(tier.value for tier in Tier))(text))


_CACHE_VARIABLES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "FN": ("Fn_compute_blocks", _whole_number),
    "BN": ("Bn_compute_blocks", _whole_number),
    "WARMUP": ("max_warmup_steps", _whole_number),
    "RDT": ("residual_diff_threshold", _number),
    "MC": ("max_continuous_cached_steps", _whole_number),
    "TAYLORSEER": ("enable_taylorseer", _boolean),
    "TS_ORDER": ("taylorseer_order", _whole_number),
    "SCM_COMPUTE_BINS": ("scm_compute_bins", _bins),
    "SCM_CACHE_BINS": ("scm_cache_bins", _bins),
    "SCM_POLICY": ("steps_computation_policy", _one_of("dynamic", "static")),
}
CACHE_KEYS = {f"{PREFIX}{suffix}": key for suffix, (key, _) in _CACHE_VARIABLES.items()}
"""Variable to the key of `cache_config` that it sets."""

READERS: Mapping[str, Callable[[str], Any]] = {
    ENABLED: _boolean,
    SCM_PRESET: _preset,
    **{f"{PREFIX}{suffix}": read for suffix, (_, read) in _CACHE_VARIABLES.items()},
}
"""Variable to what makes a value of its text; raises ValueError with what it must be."""

SETS = {ENABLED: "tiers", SCM_PRESET: "default_tier", **CACHE_KEYS}
"""Variable to the key of the config that it sets."""
