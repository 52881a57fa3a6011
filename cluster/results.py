"""Where results are kept, and for how long."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, field_validator

from cluster.secret_reference import holds_password
from cluster.sections import Section, shown

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_LOCAL_SCHEMES = ("file", "local")
_S3_SCHEMES = ("s3", "s3a")
SECRET_OPTIONS = {
    "account_key",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "connection_string",
    "key",
    "passphrase",
    "password",
    "sas_token",
    "secret",
    "token",
    "username",
}
"""The options by which the filesystems of fsspec take keys and passwords."""

_WHERE_KEYS_COME_FROM = (
    "the keys of S3 are taken from the environment, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)


class ResultsConfig(Section):
    """A place for pictures and videos, and how much is kept there.

    `url` is a local folder, relative to where the server is started, `s3://bucket/prefix`, or any
    other URL that fsspec knows. A local folder must be one that all nodes share. `options` are
    given to fsspec's filesystem, such as `{endpoint_url: http://minio:9000}`. Nothing else may be
    kept in that place: what looks like a result is deleted when it is older than `max_age_s`, in
    seconds, and from the oldest on while all together are more than `max_bytes`.
    """

    url: str = Field("var/results", min_length=1)
    options: Mapping[str, Any] = Field(default_factory=dict)
    max_age_s: float = Field(86_400.0, gt=0)
    max_bytes: int | None = Field(10_000_000_000, gt=0)

    @field_validator("url")
    @classmethod
    def _is_a_place(cls, value: str) -> str:
        if holds_password(value):
            raise ValueError(f"a password does not belong in a config; {_WHERE_KEYS_COME_FROM}")
        scheme, separator, path = value.partition("://")
        if not value.isprintable() or value != value.strip():
            raise ValueError("it has blanks at an end, or characters that cannot be shown")
        if separator and not _SCHEME.fullmatch(scheme):
            raise ValueError(f"{shown(scheme)}:// is no kind of URL; one is s3://bucket/prefix")
        if separator and not path.strip("/"):
            raise ValueError(f"{shown(value)} names no place, as s3://bucket/prefix does")
        if not separator and re.match(r"(s3a?|file|local):", value):
            raise ValueError(
                f"{shown(value)} is neither a folder nor a URL, which is written s3://bucket/prefix"
            )
        return value.rstrip("/") or "/"

    @field_validator("options")
    @classmethod
    def _has_no_secrets(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        secrets = SECRET_OPTIONS.intersection(_names(value))
        secrets |= {name for name, text in _texts(value) if holds_password(text)}
        if secrets:
            raise ValueError(
                f"{', '.join(sorted(secrets))}: keys and passwords do not belong in a config; "
                f"{_WHERE_KEYS_COME_FROM}"
            )
        return value

    @property
    def folder(self) -> str | None:
        """The local folder, as it is written; None where results are kept elsewhere."""
        scheme, separator, path = self.url.partition("://")
        if not separator:
            return self.url
        return path if scheme in _LOCAL_SCHEMES else None

    @property
    def is_s3(self) -> bool:
        return self.url.partition("://")[0] in _S3_SCHEMES

    def anchored_at(self, working_directory: str) -> ResultsConfig:
        """The same place for processes that work elsewhere: a relative folder is made absolute."""
        if self.folder is None or self.folder.startswith("~"):
            return self
        return self.model_copy(update={"url": posixpath.join(working_directory, self.folder)})


def _names(options: Mapping[str, Any]) -> Iterator[str]:
    """The names of options, and of those within them."""
    for name, value in options.items():
        yield name
        if isinstance(value, Mapping):
            yield from _names(value)


def _texts(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The options that are texts, and those within them, by their names."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif isinstance(value, str):
            yield name, value
