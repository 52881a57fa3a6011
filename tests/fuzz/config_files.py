"""Config files: each is a config, or refused with lines that name the file."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from cluster.errors import ConfigError
from deployments.check import checked_file
from tests.fuzz.trials import Tried, tried

EXAMPLES = tuple(
    yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted(Path("configs").glob("*.yaml"))
)

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 9)
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.datetimes()
    | st.binary(max_size=8)
    | st.sampled_from(["auto", "none", "env:X", "env:", "sqlite://", "1024x1024", "ultra", "a:b"])
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_scalars, inner, max_size=3),
    max_leaves=8,
)
_texts = (
    st.text(max_size=60)
    | st.text("abx:-[]{}#&*!|>'\"%@`,?~0123456789. \n\t", max_size=60)
    | st.binary(max_size=60)
)
_raw_scalars = st.sampled_from(
    (
        *("2026-99-99", "2026-01-01T99:99:99", "0b", "0x", "1:99", ".inf", "9" * 5000),
        *("!!int x", "!!float x", "!!bool x", "!!binary x", "!!timestamp x", "!!set {a}"),
        *("!!omap [1]", "!!python/name:os.x x", "&a [*a]", "? [a]\n: b", "<<: 1", "<<: [1]"),
        *("=", "\ufeff", "%YAML 9.9"),
    )
)


def try_configs(folder: Path, most: int, seed: int) -> Tried:
    path = folder / "serve.yaml"

    def outcome(file: bytes) -> str:
        path.write_bytes(file)
        try:
            checked_file(path)
        except ConfigError as refused:
            lines = str(refused).splitlines()
            assert lines
            assert all(line.startswith(f"{path}: ") for line in lines), lines
            return "refused"
        return "config"

    return tried("config files", _files(), outcome, most, seed)


def _files() -> st.SearchStrategy[bytes]:
    return st.one_of(
        st.tuples(st.sampled_from(EXAMPLES), st.data()).map(lambda drawn: _changed(*drawn)),
        _values.map(_dumped),
        _texts.map(lambda text: text if isinstance(text, bytes) else text.encode()),
        st.tuples(st.sampled_from(EXAMPLES), st.data(), _raw_scalars).map(
            lambda drawn: _changed(drawn[0], drawn[1], drawn[2])
        ),
    )


def _changed(example: dict[str, Any], data: Any, raw: str | None = None) -> bytes:
    """An example with some values replaced, keys renamed, or parts taken away."""
    document = copy.deepcopy(example)
    for _ in range(data.draw(st.integers(1, 3)) if raw is None else 1):
        places = list(_places(document))
        if not places:
            break
        holder, key = data.draw(st.sampled_from(places))
        if raw is not None:
            holder[key] = "RAW"
            return _dumped(document).replace(b"RAW", raw.encode(), 1)
        match data.draw(st.sampled_from(["value", "key", "gone"])):
            case "value":
                holder[key] = data.draw(_values)
            case "key" if isinstance(holder, dict):
                holder[data.draw(_scalars)] = holder.pop(key)
            case _:
                del holder[key]
    return _dumped(document)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place within a document that holds a value: its mapping or list, and its key there."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _dumped(value: Any) -> bytes:
    return yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass")
