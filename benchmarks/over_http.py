"""What HTTP, gateway, router and Ray add to the engine's own time, seen from a client."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from benchmarks.measures import spread

HTTP_BAR = 1.10
"""End to end over the engine alone, median, tier `none`, 28 steps (issue 2, section 6)."""
HTTP_STEPS = 28
_WARM_UP_REQUESTS = 2
_TIMEOUT_S = 600.0


class HttpFailed(Exception):
    """The server could not be asked, or answered with an error."""


@dataclass(frozen=True)
class HttpCall:
    """One request, in seconds: by the client's clock, and from the receipt.

    `engine_s` is encode, denoise and decode; `server_s` the receipt's total as the router saw it;
    `queue_s` the wait for a free replica within it. `client_s` ends with the body's last byte.
    """

    client_s: float
    engine_s: float
    queue_s: float
    server_s: float
    config_hash: str

    @property
    def ratio(self) -> float:
        """End to end over the engine alone."""
        return self.client_s / self.engine_s


def measure_http(url: str, model: str, prompt: str, size: str, requests: int) -> list[HttpCall]:
    """Sends that many requests one after another over one connection, after two to warm up.

    A server that asks for a key gets that of the variable DIT_SERVE_API_KEY.

    Raises:
        HttpFailed: see the class.
    """
    key = os.environ.get("DIT_SERVE_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S) as client:
        calls = [
            _call(client, _body(model, prompt, size, seed))
            for seed in range(_WARM_UP_REQUESTS + requests)
        ]
    return calls[_WARM_UP_REQUESTS:]


def http_summary(calls: Sequence[HttpCall]) -> dict[str, Any]:
    """The calls, the spread of their ratios, and whether the median meets the bar."""
    ratio = spread([call.ratio for call in calls])
    return {
        "bar": HTTP_BAR,
        "ratio": asdict(ratio),
        "meets_bar": ratio.median <= HTTP_BAR,
        "calls": [asdict(call) | {"ratio": call.ratio} for call in calls],
    }


def _body(model: str, prompt: str, size: str, seed: int) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": prompt,
        "size": size,
        "tier": "none",
        "num_inference_steps": HTTP_STEPS,
        "seed": seed,
    }


def _call(client: httpx.Client, body: dict[str, Any]) -> HttpCall:
    started_s = time.perf_counter()
    try:
        response = client.post("/v1/images/generations", json=body)
    except httpx.HTTPError as error:
        raise HttpFailed(
            f"{client.base_url}: {type(error).__name__}: {error}; is a server running there "
            "(make serve)? Give its address with --url"
        ) from error
    client_s = time.perf_counter() - started_s
    if response.status_code != 200:
        raise HttpFailed(
            f"{client.base_url} answered {response.status_code}: {response.text[:300]}"
        )
    receipt = response.json()["receipt"]
    if receipt["tier_served"] != "none" or receipt["steps_computed"] != HTTP_STEPS:
        raise HttpFailed(
            f"the server served tier {receipt['tier_served']} and computed "
            f"{receipt['steps_computed']} steps instead of {HTTP_STEPS} at tier none"
        )
    return HttpCall(
        client_s=client_s,
        engine_s=receipt["encode_s"] + receipt["denoise_s"] + receipt["decode_s"],
        queue_s=receipt["queue_s"],
        server_s=receipt["total_s"],
        config_hash=receipt["config_hash"],
    )
