"""Fetches the pictures that a JSON body names by address, from the config's hosts and no others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx2

from cluster.config import ClusterConfig
from cluster.errors import InvalidRequest
from cluster.picture_address import picture_address

FETCH_S = 20.0
"""For all pictures of a request together, from the first connection to the last byte."""

PICTURES_MAX = 16
"""Of one request, as in a form."""

_HEADERS = {"Accept": "image/png, image/jpeg, image/webp", "Accept-Encoding": "identity"}


class PictureFetch:
    """What a gateway does for addresses in requests.

    It follows no redirect, sends no cookie and nothing of the caller, uses no proxy of the
    environment, and gives back the bytes as they are: they are looked at like an upload.
    """

    def __init__(self, config: ClusterConfig) -> None:
        self._hosts = frozenset(config.picture_hosts)
        self._most = config.max_upload_bytes
        self._http = httpx2.AsyncClient(
            headers=_HEADERS,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            trust_env=False,
            follow_redirects=False,
            timeout=FETCH_S,
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    async def filled(
        self, fields: Mapping[str, Any], hold: Callable[[int], None]
    ) -> dict[str, Any]:
        """The fields of a body with files where it has `{"image_url": ADDRESS}`.

        `images` may be a list of them, `mask` and `input_reference` may be one. `hold` is told how
        many bytes came, as they come, and raises where there is no room for them.

        Raises:
            InvalidRequest: an address is of no host that is fetched from, before any is asked; or
                a host does not send a file, within the time and the size that is allowed.
        """
        addresses = self._addresses(fields)
        files: dict[str, bytes] = {}
        left = self._most
        field = ""
        try:
            async with asyncio.timeout(FETCH_S):
                for field, address in addresses.items():
                    files[field] = await self._file(address, field, left, hold)
                    left -= len(files[field])
        except TimeoutError as error:
            raise InvalidRequest(
                f"{field}: was not fetched within {FETCH_S:g} seconds", param=field
            ) from error
        return _with_files(fields, files)

    def _addresses(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """By the name of their place in the body."""
        named = {name: fields.get(name) for name in ("mask", "input_reference")}
        images = fields.get("images")
        if isinstance(images, list):
            if len(images) > PICTURES_MAX:
                raise InvalidRequest(
                    f"images: {PICTURES_MAX} pictures are taken, not {len(images)}", param="images"
                )
            named |= {_place(index): each for index, each in enumerate(images)}
        found = {
            field: picture_address(value, field, self._hosts) for field, value in named.items()
        }
        return {field: address for field, address in found.items() if address is not None}

    async def _file(
        self, address: str, field: str, most: int, hold: Callable[[int], None]
    ) -> bytes:
        body = bytearray()
        try:
            async with self._http.stream("GET", address) as answer:
                if answer.status_code != 200:
                    raise InvalidRequest(
                        f"{field}: the host answered {answer.status_code}, and not with a picture",
                        param=field,
                    )
                async for piece in answer.aiter_raw():
                    hold(len(piece))
                    body += piece
                    if len(body) > most:
                        raise InvalidRequest(
                            f"{field}: has more than {most} bytes, the most that is left of "
                            f"{self._most} for the pictures of a request",
                            param=field,
                        )
        except httpx2.HTTPError as error:
            raise InvalidRequest(
                f"{field}: the host could not be asked: {type(error).__name__}", param=field
            ) from error
        return bytes(body)


def _place(index: int) -> str:
    return f"images[{index}]"


def _with_files(fields: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    filled = dict(fields)
    if isinstance(images := fields.get("images"), list):
        filled["images"] = [files.get(_place(index), each) for index, each in enumerate(images)]
    return filled | {name: file for name, file in files.items() if name in fields}
