"""API keys: what one looks like, what is kept of it, and whether one that was sent is known.

A key is `dit_ID_SECRET`. The id is public and names the key everywhere. Of the secret only the
SHA-256 of the whole text is kept. No slow hash is needed: slowness makes up for passwords that can
be guessed, and 256 random bits cannot.

Pure: the time enters as an argument, and so does what is random. Nothing here tells a secret.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from hmac import compare_digest
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from cluster.errors import ConfigError
from cluster.key_limits import KeyLimits
from cluster.sections import Section, fault_lines


class Scope(StrEnum):
    """What a key is for; `ADMIN` is for everything, and sees what all keys made."""

    GENERATE = "generate"
    METRICS = "metrics"
    ADMIN = "admin"


ID_CHARS = "abcdefghijklmnopqrstuvwxyz234567"
"""Base32 in small letters: an id has no underscore and is read aloud without doubt."""

ID_LENGTH = 10
ID = rf"[{ID_CHARS}]{{{ID_LENGTH}}}"

SECRET_BYTES = 32

_KEY = re.compile(rf"dit_({ID})_[A-Za-z0-9_-]{{43,86}}")
"""The secret is 32 to 64 bytes as URL-safe base64."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NOBODYS = "0" * 64


def _moment(value: Any) -> Any:
    """A date or a time as YAML or text has it; without a zone it is UTC, as YAML says."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("must be a time, such as 2027-01-31 or 2027-01-31T12:00:00Z") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]


class ApiKey(Section):
    """What is kept of a key. `expires` is the first moment at which it does not work any more.

    One that is `revoked` works no more, whatever the clock of the machine that said so.

    `limits` stand in place of the config's `key_limits`, as a whole: an empty mapping is no limit.
    """

    id: str
    name: str = Field(min_length=1, max_length=80)
    scopes: tuple[Annotated[Scope, Field(strict=False)], ...] = Field(min_length=1)
    sha256: str
    created: Moment
    expires: Moment | None = None
    revoked: Moment | None = None
    limits: KeyLimits | None = None

    # Without the value, which may be a whole key that somebody put there.
    @field_validator("id")
    @classmethod
    def _is_an_id(cls, value: str) -> str:
        if not is_id(value):
            raise ValueError(f"must be {ID_LENGTH} characters of a to z and 2 to 7")
        return value

    @field_validator("sha256")
    @classmethod
    def _is_a_digest(cls, value: str) -> str:
        if not _DIGEST.fullmatch(value):
            raise ValueError("must be the SHA-256 of the whole key, as 64 hex digits")
        return value

    @field_validator("name")
    @classmethod
    def _can_be_shown(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("has a character that cannot be printed")
        return value

    def state(self, now: datetime) -> Literal["works", "expired", "revoked"]:
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "works"


def is_id(text: str) -> bool:
    return re.fullmatch(ID, text) is not None


def key_text(key_id: str, secret: str) -> str:
    return f"dit_{key_id}_{secret}"


def id_within(text: str) -> str | None:
    """The id of a whole key; None where the text is none."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def digest(text: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(text.encode()).hexdigest()


def recognised(text: str, keys: Mapping[str, ApiKey], now: datetime) -> ApiKey | None:
    """The key that was sent, if it is one of `keys` and works.

    It takes as long for an unknown id as for a wrong secret.
    """
    key_id = id_within(text)
    known = keys.get(key_id) if key_id is not None else None
    sent = digest(text if key_id is not None else "")
    is_right = compare_digest(sent, _NOBODYS if known is None else known.sha256)
    return known if known is not None and is_right and known.state(now) == "works" else None


def key_list(entries: object, source: str) -> dict[str, ApiKey]:
    """Keys by their ids, from a list of mappings; nothing at all is no key.

    Raises:
        ConfigError: one line per fault, each begins with `source`; none has a secret.
    """
    if entries is None:
        return {}
    if not isinstance(entries, list):
        raise ConfigError(f"{source}: keys are a list, not {type(entries).__name__}")
    keys: dict[str, ApiKey] = {}
    faults = []
    for place, entry in enumerate(entries):
        try:
            key = ApiKey.model_validate(entry)
        except ValidationError as error:
            faults += fault_lines(error, f"[{place}]")
            continue
        if key.id in keys:
            faults.append(f"[{place}].id: another key has the id {key.id}")
        keys[key.id] = key
    if faults:
        raise ConfigError("\n".join(f"{source}: {fault}" for fault in faults))
    return keys
