"""How the ranks of one replica divide the work of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Size = int | Literal["auto"]


class PlacementError(ValueError):
    """A shape that cannot be: the message says which numbers do not go together."""


@dataclass(frozen=True)
class ParallelDims:
    """The sizes of Ulysses, ring and tensor parallelism; their product is the number of ranks."""

    ulysses_size: int = 1
    ring_size: int = 1
    tp_size: int = 1

    def __post_init__(self) -> None:
        for name, size in self._sizes():
            if size < 1:
                raise PlacementError(f"{name} must be at least 1, not {size}")

    @property
    def world_size(self) -> int:
        return self.ulysses_size * self.ring_size * self.tp_size

    @property
    def label(self) -> str:
        """A short name for receipts and tables: "single", "ulysses2", "ulysses2+tp4"."""
        parts = [f"{name.removesuffix('_size')}{size}" for name, size in self._sizes() if size > 1]
        return "+".join(parts) or "single"

    def _sizes(self) -> tuple[tuple[str, int], ...]:
        return (
            ("ulysses_size", self.ulysses_size),
            ("ring_size", self.ring_size),
            ("tp_size", self.tp_size),
        )


def resolve_dims(
    num_ranks: int, ulysses_size: Size | None, ring_size: Size | None, tp_size: Size | None
) -> ParallelDims:
    """The sizes with `auto` filled so that the product is `num_ranks`. `None` is 1.

    Raises:
        PlacementError: two sizes are `auto`, or the product cannot be or is not `num_ranks`.
    """
    given = {"ulysses_size": ulysses_size, "ring_size": ring_size, "tp_size": tp_size}
    sizes: dict[str, Size] = {name: 1 if size is None else size for name, size in given.items()}
    automatic = [name for name, size in sizes.items() if size == "auto"]
    if len(automatic) > 1:
        raise PlacementError(f"only one of the sizes can be auto, not {' and '.join(automatic)}")
    fixed = 1
    for size in sizes.values():
        fixed *= 1 if size == "auto" else size
    if automatic:
        if num_ranks % fixed:
            raise PlacementError(
                f"{automatic[0]} cannot be filled: {num_ranks} ranks do not divide by {fixed}"
            )
        sizes[automatic[0]] = num_ranks // fixed
    dims = ParallelDims(**{name: int(size) for name, size in sizes.items()})
    if dims.world_size != num_ranks:
        raise PlacementError(
            f"ulysses_size x ring_size x tp_size is {dims.world_size}, but num_ranks is {num_ranks}"
        )
    return dims
