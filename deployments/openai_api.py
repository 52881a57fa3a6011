"""OpenAI's shapes: bodies in, bodies out, and the error envelope. Pure: no request, no network."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NoReturn

from cluster.config import ClusterConfig
from cluster.errors import DitServeError, InvalidRequest
from cluster.measured_tiers import PoolMeasurements
from cluster.pool_load import ModelLoad
from cluster.receipt import GenerateResult
from cluster.sections import shown
from cluster.tiers import Tier


def is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def decode_body(body: bytes, content_type: str) -> Mapping[str, Any]:
    """The JSON object in a body.

    Raises:
        InvalidRequest: another content type, not JSON, not an object, a field given twice, or a
            number that JSON does not have.
    """
    if not is_json(content_type):
        raise InvalidRequest(
            f"Content-Type: must be application/json, not {content_type[:80] or 'empty'}"
        )
    try:
        value = json.loads(body, parse_constant=_no_such_number, object_pairs_hook=_each_field_once)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidRequest(f"the body must be a JSON object, not {type(value).__name__}")
    return value


def images_response(result: GenerateResult, url_of: Callable[[str], str]) -> dict[str, Any]:
    """The body that answers `POST /v1/images/generations` and `/edits`.

    `url_of(key)` is where a stored picture can be fetched.
    """
    shown = [{"b64_json": base64.b64encode(image).decode("ascii")} for image in result.images]
    return {
        "created": int(time.time()),
        "data": shown + [{"url": url_of(stored.key)} for stored in result.stored],
        "output_format": result.output_format,
        "size": f"{result.receipt.width}x{result.receipt.height}",
        "receipt": result.receipt.model_dump(mode="json"),
    }


def models_response(config: ClusterConfig) -> dict[str, Any]:
    """The body of `GET /v1/models`."""
    return {
        "object": "list",
        "data": [
            {
                "id": model.name,
                "object": "model",
                "created": 0,
                "owned_by": "dit-serve",
                "tasks": list(model.tasks),
                "tiers": list(model.tiers),
                "default_tier": model.default_tier,
                "default_size": model.default_size,
                "limits": model.limits.model_dump(),
            }
            for model in config.models
        ],
    }


def tiers_response(
    config: ClusterConfig, measured: Mapping[str, Mapping[str, PoolMeasurements]]
) -> dict[str, Any]:
    """The body of `GET /v1/tiers`: which pool serves which tier, how, and as measured when.

    `measured` has the measurements by model and pool, of the models whose routers answered.
    """
    return {
        "object": "list",
        "data": [
            {
                "model": model.name,
                "pool": pool.name,
                "tier": tier,
                "parallelism": pool.dims.label,
                "dtype": pool.dtype,
                "quantization": pool.quantize_config.quant_type if pool.quantize_config else None,
                "cache_config": pool.cache_for(tier).model_dump(mode="json", exclude_none=True),
                **_measured(measured.get(model.name, {}).get(pool.name, _NO_ANSWER), tier),
            }
            for model in config.models
            for pool in model.pools
            for tier in pool.tiers
        ],
    }


def status_response(loads: Mapping[str, ModelLoad]) -> dict[str, Any]:
    """The body of `GET /v1/status`, of the models whose routers answered."""
    return {
        "models": [
            {
                "model": name,
                "queued": load.queued,
                "pools": [{"pool": pool, **asdict(each)} for pool, each in load.pools.items()],
            }
            for name, load in loads.items()
        ]
    }


def error_response(error: DitServeError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers for an error."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    if error.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return error.http_status, error_body(error), headers


def error_body(error: DitServeError) -> dict[str, Any]:
    """The envelope of an error."""
    body = envelope(error.message, error.error_type, error.param, error.code)
    if error.earliest_feasible_s is not None:
        body["error"]["earliest_feasible_s"] = error.earliest_feasible_s
    return body


def envelope(
    message: str, error_type: str, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """OpenAI's error envelope."""
    return {"error": {"message": message, "type": error_type, "param": param, "code": code}}


_NO_ANSWER = PoolMeasurements(refused="the model's router did not answer")


def _measured(pool: PoolMeasurements, tier: Tier) -> dict[str, Any]:
    rows = [
        row.model_dump(mode="json", exclude={"model", "pool", "tier"})
        | {
            "size": row.size,
            "computed_share": row.steps_computed / row.steps,
            "made_at": pool.made_at,
            "device": pool.device,
        }
        for row in pool.rows
        if row.tier is tier
    ]
    return {"measured": rows, "measured_refused": pool.refused}


def _each_field_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A field that comes twice would be one value to whoever looked before, and another here."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise InvalidRequest(f"{shown(name)}: is given twice", param=shown(name))
        fields[name] = value
    return fields


def _no_such_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
