"""Draws a scene: the pictures that the embedded model is trained on."""

from __future__ import annotations

import math
import random

from PIL import Image, ImageDraw

from demo.world import Scene

PICTURE_SIZE = 128
SUPERSAMPLING = 4

RGB = {
    "red": (222, 38, 38),
    "green": (38, 158, 62),
    "blue": (40, 84, 222),
    "yellow": (246, 214, 48),
    "purple": (142, 56, 182),
    "orange": (246, 136, 28),
    "white": (246, 246, 246),
    "black": (14, 14, 14),
    "gray": (128, 128, 128),
}

SINGLE_RADIUS = {None: 31.0, "small": 20.0, "large": 43.0}
PAIR_RADIUS = 23.0
PAIR_DISTANCE = 62.0


def draw(scene: Scene, rng: random.Random) -> Image.Image:
    """An RGB picture of `PICTURE_SIZE` pixels a side.

    `rng` moves the things a little about their places.
    """
    side = PICTURE_SIZE * SUPERSAMPLING
    image = Image.new("RGB", (side, side), RGB[scene.background])
    brush = ImageDraw.Draw(image)
    radius = PAIR_RADIUS if scene.relation else SINGLE_RADIUS[scene.size]
    for thing, (x, y) in zip(scene.things, _places(scene, rng), strict=True):
        points = _outline(thing.shape, x, y, radius * rng.uniform(0.95, 1.05))
        brush.polygon(
            [(px * SUPERSAMPLING, py * SUPERSAMPLING) for px, py in points], fill=RGB[thing.colour]
        )
    return image.resize((PICTURE_SIZE, PICTURE_SIZE), Image.Resampling.LANCZOS)


def _places(scene: Scene, rng: random.Random) -> list[tuple[float, float]]:
    """The centre of each thing, in pixels."""
    middle = PICTURE_SIZE / 2
    x, y = middle + rng.uniform(-6, 6), middle + rng.uniform(-6, 6)
    if scene.relation is None:
        return [(x, y)]
    half = (PAIR_DISTANCE + rng.uniform(-3, 3)) / 2
    dx, dy = {
        "left of": (-half, 0.0),
        "right of": (half, 0.0),
        "above": (0.0, -half),
        "below": (0.0, half),
    }[scene.relation]
    return [(x + dx, y + dy), (x - dx, y - dy)]


def _outline(shape: str, x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """The corner points of a shape that fits a circle of about `radius` about (x, y)."""
    if shape == "square":
        half = radius * 0.86
        return [
            (x - half, y - half),
            (x + half, y - half),
            (x + half, y + half),
            (x - half, y + half),
        ]
    if shape == "circle":
        turns, radii = 90, [radius * 0.95]
    elif shape == "triangle":
        turns, radii, y = 3, [radius * 1.12], y + radius * 0.2
    else:
        turns, radii = 10, [radius * 1.1, radius * 0.48]
    angles = (2 * math.pi * k / turns - math.pi / 2 for k in range(turns))
    return [
        (x + radii[k % len(radii)] * math.cos(angle), y + radii[k % len(radii)] * math.sin(angle))
        for k, angle in enumerate(angles)
    ]
