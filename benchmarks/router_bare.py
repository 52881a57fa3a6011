"""Ray Serve with nothing of ours: an HTTP ingress that calls replicas which do nothing."""

from typing import Any

from fastapi import FastAPI, Request
from ray import serve

http = FastAPI()


class NoOpReplica:
    """Answers at once."""

    async def generate(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"data": [{"b64_json": ""}], "size": body["size"]}


@serve.ingress(http)
class BareIngress:
    """Hands the body of a request to a replica that Serve chooses."""

    def __init__(self, replicas: Any) -> None:
        self._replicas = replicas

    @http.post("/v1/images/generations")
    async def create_images(self, request: Request) -> dict[str, Any]:
        return await self._replicas.generate.remote(await request.json())
