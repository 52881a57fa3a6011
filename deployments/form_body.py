"""A multipart form as a mapping of fields: text as text, files as their bytes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from cluster.errors import InvalidRequest
from cluster.sections import shown

MAX_FILES = 17
"""OpenAI takes up to 16 pictures, and a mask."""

MAX_FIELDS = 64
MAX_TEXT_BYTES = 1_000_000

_CHUNK_BYTES = 1024 * 1024
"""Between two of them other requests get their turn."""


def is_form(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


async def decode_form(body: bytes, headers: Headers) -> dict[str, str | list[bytes]]:
    """The fields of a form by name; a name that ends in `[]` is that name without it.

    Files are lists, as there may be several of a name.

    Raises:
        InvalidRequest: it is no such form, a text comes twice, or a name has a text and a file.
    """
    _, options = parse_options_header(headers["content-type"])
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise InvalidRequest("Content-Type: the text of a form must be UTF-8")

    async def chunks() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), _CHUNK_BYTES):
            yield body[start : start + _CHUNK_BYTES]
            await asyncio.sleep(0)
        if not parser.whole:
            raise MultiPartException("it is cut off")

    parser = _Parser(
        headers,
        chunks(),
        max_files=MAX_FILES,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_TEXT_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(f"the body is not a valid multipart form: {error.message}") from error
    try:
        return await _by_name(form)
    finally:
        await form.close()


class _Parser(MultiPartParser):
    """Starlette's, which takes a form that is cut off for one that has fewer fields.

    Nor does it put long files on the disk: the body is in memory, and no longer than is allowed.
    """

    whole = False
    spool_max_size = sys.maxsize

    def on_end(self) -> None:
        self.whole = True


async def _by_name(form: FormData) -> dict[str, str | list[bytes]]:
    fields: dict[str, str | list[bytes]] = {}
    for key, value in form.multi_items():
        name = key.removesuffix("[]")
        told = shown(name)
        if isinstance(value, UploadFile):
            held = fields.setdefault(name, [])
            if isinstance(held, str):
                raise InvalidRequest(f"{told}: is text and a file at once", param=told)
            held.append(await value.read())
        elif name in fields:
            raise InvalidRequest(f"{told}: is given twice", param=told)
        else:
            fields[name] = value
    return fields


def one_file(fields: dict[str, Any], name: str) -> bytes | None:
    """Takes the one file of that name out of the fields; None where there is none.

    Raises:
        InvalidRequest: it is text, or there are several.
    """
    files = files_of(fields, name)
    if len(files) > 1:
        raise InvalidRequest(f"{name}: one file is taken, not {len(files)}", param=name)
    return files[0] if files else None


def files_of(fields: dict[str, Any], name: str) -> tuple[bytes, ...]:
    """Takes the files of that name out of the fields.

    Raises:
        InvalidRequest: it is text.
    """
    files = fields.pop(name, [])
    if not isinstance(files, list):
        raise InvalidRequest(f"{name}: must be a file of the form, not text", param=name)
    return tuple(files)
