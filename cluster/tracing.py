"""Where traces of requests go, and how many of them."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from cluster.sections import Section


class TracingConfig(Section):
    """An OpenTelemetry collector; without this section nothing is traced.

    `endpoint` is the base URL of OTLP over HTTP, to which `/v1/traces` is added. `sample_ratio` is
    the part of the traces that begin here which is kept; a trace that a caller began is kept if the
    caller keeps it.
    """

    endpoint: str = Field(pattern=r"^https?://[^\s/?#]+[^\s?#]*$")
    sample_ratio: float = Field(1.0, ge=0, le=1)

    @field_validator("endpoint")
    @classmethod
    def _has_no_secrets(cls, value: str) -> str:
        if "@" in urlsplit(value).netloc:
            raise ValueError(
                "a user or a password does not belong in a config; what the collector asks for is "
                "taken from the environment, as OTEL_EXPORTER_OTLP_HEADERS"
            )
        return value.rstrip("/")
