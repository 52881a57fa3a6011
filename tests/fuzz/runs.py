"""All kinds of made-up input, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.config_files import try_configs
from tests.fuzz.gateway_app import closed_app, target
from tests.fuzz.http_bytes import try_bytes, try_without_key
from tests.fuzz.http_cases import operations_of, try_operation
from tests.fuzz.picture_bytes import try_pictures
from tests.fuzz.request_fields import try_bodies
from tests.fuzz.trials import Tried

BYTES, BODIES, CONFIGS, PICTURES = 5, 10, 3, 10
"""How many times as many inputs of a kind there are as requests to one operation."""


def all_kinds(folder: Path, most: int, seed: int) -> Iterator[Tried]:
    """Up to `most` requests to each operation of the API, and so on in proportion.

    Raises whatever an input makes go wrong, with that input.
    """
    with target(folder) as gateway:
        for operation in operations_of(gateway).values():
            yield try_operation(gateway, operation, most, seed)
            gateway.is_well()
        yield try_bytes(gateway, BYTES * most, seed)
    with closed_app(folder) as app:
        yield try_without_key(app, BYTES * most, seed)
    yield try_bodies(folder, BODIES * most, seed)
    yield try_configs(folder, CONFIGS * most, seed)
    yield try_pictures(PICTURES * most, seed)
