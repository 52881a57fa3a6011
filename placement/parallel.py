"""How the ranks of one replica divide the work of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Size = int | Literal["auto"]


class PlacementError(ValueError):
    """A shape that cannot be: the message says which numbers do not go together."""


@dataclass(frozen=True, order=True)
class Coordinates:
    """The place of a rank in the mesh of cache-dit; the last one changes from rank to rank."""

    ring: int
    ulysses: int
    tp: int


@dataclass(frozen=True)
class ParallelDims:
    """The sizes of Ulysses, ring and tensor parallelism; their product is the number of ranks.

    The mesh is (ring, ulysses, tp) in row-major order, as cache-dit builds it
    (`cache_dit/distributed/config.py`): tensor parallelism, which talks most, between adjacent
    ranks, then Ulysses, and ring outermost.
    """

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

    def coordinates(self, rank: int) -> Coordinates:
        """Where a rank stands; raises `PlacementError` for one outside 0..world_size-1."""
        if not 0 <= rank < self.world_size:
            raise PlacementError(f"rank {rank} is not one of the {self.world_size} of {self.label}")
        rest, tp = divmod(rank, self.tp_size)
        ring, ulysses = divmod(rest, self.ulysses_size)
        return Coordinates(ring, ulysses, tp)

    def rank_of(self, at: Coordinates) -> int:
        """The rank that stands there; raises `PlacementError` where the mesh does not reach."""
        sizes = (self.ring_size, self.ulysses_size, self.tp_size)
        places = (at.ring, at.ulysses, at.tp)
        if not all(0 <= place < size for place, size in zip(places, sizes, strict=True)):
            raise PlacementError(f"{places} is outside the mesh (ring, ulysses, tp) = {sizes}")
        return (at.ring * self.ulysses_size + at.ulysses) * self.tp_size + at.tp

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


def check_heads(dims: ParallelDims, heads: int, ulysses_anything: bool = False) -> None:
    """Whether a transformer with so many attention heads can be divided.

    Each rank of a tp group has heads / tp_size of them, and Ulysses spreads these again. With
    `ulysses_anything` the last rank's share may be smaller: cache-dit pads it, by less than one
    share (`_maybe_pad_qkv_head` asserts it).

    Raises:
        PlacementError: the heads do not divide.
    """
    if heads % dims.tp_size:
        raise PlacementError(f"{heads} attention heads do not divide by tp_size {dims.tp_size}")
    per_tp_rank = heads // dims.tp_size
    if per_tp_rank % dims.ulysses_size == 0:
        return
    if not ulysses_anything:
        raise PlacementError(
            f"{heads} attention heads do not divide by ulysses_size x tp_size = "
            f"{dims.ulysses_size} x {dims.tp_size} = {dims.ulysses_size * dims.tp_size}"
        )
    share = -(-per_tp_rank // dims.ulysses_size)
    padding = share * dims.ulysses_size - per_tp_rank
    if padding >= share:
        raise PlacementError(
            f"{per_tp_rank} attention heads cannot be spread over ulysses_size "
            f"{dims.ulysses_size}: in shares of {share} the last rank would have none"
        )


def check_sequence(dims: ParallelDims, tokens: int, ulysses_anything: bool = False) -> None:
    """Whether a sequence of so many tokens can be divided among Ulysses and ring.

    With `ulysses_anything` the parts may differ, but each rank needs at least one token.

    Raises:
        PlacementError: the tokens do not divide.
    """
    parts = dims.ulysses_size * dims.ring_size
    if tokens < parts:
        raise PlacementError(f"a sequence of {tokens} tokens is too short for {parts} parts")
    if tokens % parts and not ulysses_anything:
        raise PlacementError(
            f"a sequence of {tokens} tokens does not divide by ulysses_size x ring_size = "
            f"{dims.ulysses_size} x {dims.ring_size} = {parts}"
        )
