"""What a router answers."""

from __future__ import annotations

from dataclasses import dataclass

import ray

from cluster.errors import DitServeError
from cluster.receipt import Receipt, Stored


@dataclass(frozen=True)
class Served:
    """A finished request; the pictures stay where they were made until the gateway fetches them.

    Those of a job with `store_as` are in the result store, as `stored` says.
    """

    receipt: Receipt
    images: ray.ObjectRef[tuple[bytes, ...]]
    stored: tuple[Stored, ...]


RouterAnswer = Served | DitServeError
