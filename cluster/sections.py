"""The base of config sections: frozen, no unknown keys, faults told in one plain line each."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

_SHOWN_CHARS = 60

_WORDS = {
    "missing": "is missing",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "bytes_type": "must be a file, sent in a form",
}
"""Plain words for pydantic's, which speak of Python's types."""

_SELF_EXPLAINED = ("unknown_key", "key_given_twice", "value_error", "missing")


class Section(BaseModel):
    """A frozen mapping. `old_names` are translated before anything else is looked at."""

    # Pydantic's own text of an error reaches tracebacks, where no value of a config may stand.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )
    old_names: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _know_every_key(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        renamed: dict[str, Any] = {}
        spelt: dict[str, str] = {}
        for key, value in data.items():
            name = cls.old_names.get(key, key)
            if name not in cls.model_fields:
                raise unknown_key(key, cls.model_fields)
            if name in renamed and renamed[name] != value:
                raise PydanticCustomError(
                    "key_given_twice",
                    "{first} and {second} are the same key with different values",
                    {"first": spelt[name], "second": key},
                )
            renamed[name] = tuple(value) if isinstance(value, list) else value
            spelt[name] = key
        return renamed


def unknown_key(key: object, known: Mapping[str, object]) -> PydanticCustomError:
    """The error for a key that is not known, with the nearest known one if any is near."""
    near = get_close_matches(str(key), list(known), n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"the keys here are {', '.join(known)}"
    return PydanticCustomError(
        "unknown_key", "unknown key {key}; {hint}", {"key": shown(key), "hint": hint}
    )


def shown(text: object) -> str:
    """A caller's words as they may stand in a one-line message: short, printable, no braces."""
    words = str(text)
    if not words.isprintable() or "{" in words:
        words = ascii(words).replace("{", "").replace("}", "")
    return words if len(words) <= _SHOWN_CHARS else f"{words[:_SHOWN_CHARS]}..."


def fault_lines(error: ValidationError, prefix: str = "") -> list[str]:
    """One line per fault of a pydantic error: the dotted path, a colon, and what is wrong there."""
    lines = []
    for fault in error.errors(include_url=False):
        path = dotted_path(prefix, fault["loc"])
        lines.append(f"{path}: {reason(fault)}" if path else reason(fault))
    return lines


def reason(fault: ErrorDetails) -> str:
    """What is wrong, in plain words, with the value that was given."""
    message = _WORDS.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    if fault["type"] in _SELF_EXPLAINED:
        return message
    return f"{message} (given: {shown(repr(fault['input']))})"


def dotted_path(prefix: str, location: tuple[int | str, ...]) -> str:
    """`("models", 0, "name")` as `models[0].name`, after the prefix."""
    path = prefix
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{shown(part)}" if path else shown(part)
    return path
