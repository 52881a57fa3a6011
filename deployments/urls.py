"""The addresses at which callers find results."""

from __future__ import annotations

from fastapi import Request

from cluster.config import ClusterConfig
from deployments.shelves import IMAGES


class Urls:
    """Below `public_url` of the config, else below the address that the request came to."""

    def __init__(self, request: Request, config: ClusterConfig) -> None:
        self._base = (config.public_url or str(request.base_url)).rstrip("/")

    def of_image(self, key: str) -> str:
        """Where the stored picture of that key can be fetched."""
        return f"{self._base}/v1/images/{IMAGES.id_of(key)}/content"
