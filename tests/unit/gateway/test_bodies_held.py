"""Many long bodies at once: a gateway holds so many, refuses the next, and has room again."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from cluster.config import ClusterConfig
from deployments.bodies_held import LONGEST_AT_ONCE
from tests.unit.gateway.stand_in import Routers


@pytest.fixture
def config(config: ClusterConfig) -> ClusterConfig:
    """With room for bodies of 20 kB in all."""
    return config.model_copy(update={"max_upload_bytes": 1000, "max_body_bytes": 1000})


def test_bodies_of_requests_in_progress_are_bounded_together(
    app: FastAPI, routers: Routers
) -> None:
    async def work() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as http:

            def ask() -> asyncio.Task[httpx.Response]:
                fields = {"prompt": "a red circle", "seed": 1, "negative_prompt": "x" * 900}
                return asyncio.ensure_future(http.post("/v1/images/generations", json=fields))

            routers.open.clear()
            asked = [ask() for _ in range(LONGEST_AT_ONCE)]
            async with asyncio.timeout(20):
                while len(routers.jobs) < len(asked):
                    await asyncio.sleep(0.01)
            refused = await ask()
            routers.open.set()
            answers = await asyncio.gather(*asked)
            return [refused, *answers, await ask()]

    refused, *answers = asyncio.run(work())
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
    assert refused.headers["retry-after"] == "2"
    assert {answer.status_code for answer in answers} == {200}
