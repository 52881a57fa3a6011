"""Reads a picture and tells whether it shows what the prompt said.

Independent of how pictures are drawn: regions come from `scikit-image`, colours from the nearest
named colour in Lab, shapes from two classic descriptors, solidity (area / convex area) and extent
(area / bounding box).
`python -m demo.adherence` scores the embedded model.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
from diffusers import FluxPipeline
from PIL import Image
from skimage import color, measure, morphology

from demo.world import BACKGROUNDS, COLOURS, Scene, Thing, caption, held_out_scenes, parse

CALL = {"width": 128, "height": 128, "max_sequence_length": 20}
"""What the embedded pipeline is called with, beside the prompt and the steps."""

_NAMED = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "yellow": (245, 215, 50),
    "purple": (140, 55, 180),
    "orange": (245, 135, 30),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
    "gray": (128, 128, 128),
}
_LAB = {name: color.rgb2lab(np.array(rgb, dtype=float) / 255) for name, rgb in _NAMED.items()}
_MIN_AREA_SHARE = 0.008
_FOREGROUND_DISTANCE = 28.0


@dataclass(frozen=True)
class Seen:
    """One region of a picture: what it is and its centre, in pixels from the top left."""

    thing: Thing
    x: float
    y: float


@dataclass(frozen=True)
class Reading:
    """What the reader saw in a picture, the largest region first."""

    background: str
    things: tuple[Seen, ...]


@dataclass
class Score:
    """Facts right and asked, by kind."""

    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def add(self, facts: Iterable[tuple[str, bool]]) -> None:
        for kind, ok in facts:
            self.asked[kind] += 1
            self.right[kind] += ok

    def share(self, kind: str | None = None) -> float:
        """Share of facts right, of one kind or of all."""
        if kind is None:
            return self.right.total() / self.asked.total()
        return self.right[kind] / self.asked[kind]

    def line(self) -> str:
        kinds = "  ".join(f"{kind} {self.right[kind]}/{self.asked[kind]}" for kind in self.asked)
        return f"{self.share():.1%} of facts ({kinds})"


def read(picture: Image.Image) -> Reading:
    """The background and the shapes of a picture."""
    lab = color.rgb2lab(np.asarray(picture.convert("RGB")))
    border = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    ground = np.median(border, axis=0)
    foreground = np.linalg.norm(lab - ground, axis=-1) > _FOREGROUND_DISTANCE
    foreground = morphology.opening(foreground, morphology.disk(1))
    regions = measure.regionprops(measure.label(foreground))
    smallest = _MIN_AREA_SHARE * foreground.size
    things = [
        Seen(
            Thing(
                _nearest(np.median(lab[tuple(region.coords.T)], axis=0), COLOURS), _shape(region)
            ),
            region.centroid[1],
            region.centroid[0],
        )
        for region in sorted(regions, key=lambda region: -region.area)
        if region.area >= smallest
    ]
    return Reading(_nearest(ground, BACKGROUNDS), tuple(things))


def facts(scene: Scene, reading: Reading) -> list[tuple[str, bool]]:
    """Each fact that the scene states and whether the picture holds it.

    The facts are background, colours, shapes and relation. The regions are matched to the things in
    the way that makes most facts right. A picture with more or fewer regions than things has none
    of its relations right, and no thing that is missing.
    """
    count = len(scene.things)
    best: list[tuple[str, bool]] = []
    for order in permutations([*reading.things, *[None] * count], count):
        found = [("background", reading.background == scene.background)]
        for thing, seen in zip(scene.things, order, strict=True):
            found.append(("colour", seen is not None and seen.thing.colour == thing.colour))
            found.append(("shape", seen is not None and seen.thing.shape == thing.shape))
        if scene.relation is not None:
            first, second = order
            held = first is not None and second is not None and len(reading.things) == count
            found.append(("relation", held and _relation(first, second) == scene.relation))
        if not best or sum(ok for _, ok in found) > sum(ok for _, ok in best):
            best = found
    return best


def judge(prompt: str, picture: Image.Image) -> tuple[int, int] | None:
    """Facts right and asked of a prompt; None when the prompt is not of this world."""
    scene = parse(prompt)
    if scene is None:
        return None
    found = facts(scene, read(picture))
    return sum(ok for _, ok in found), len(found)


def score_pictures(scenes: Sequence[Scene], pictures: Sequence[Image.Image]) -> Score:
    """The score of one picture per scene."""
    score = Score()
    for scene, picture in zip(scenes, pictures, strict=True):
        score.add(facts(scene, read(picture)))
    return score


def score_pipeline(
    pipeline: FluxPipeline, scenes: Sequence[Scene], steps: int = 28, batch: int = 20
) -> Score:
    """Generates one picture per scene (the batch's number is its seed) and scores them."""
    import torch

    pictures: list[Image.Image] = []
    for start in range(0, len(scenes), batch):
        prompts = [caption(scene) for scene in scenes[start : start + batch]]
        generator = torch.Generator("cpu").manual_seed(start)
        pictures += pipeline(prompts, num_inference_steps=steps, generator=generator, **CALL).images
    return score_pictures(scenes, pictures)


def _nearest(lab: np.ndarray, names: Sequence[str]) -> str:
    return min(names, key=lambda name: float(np.linalg.norm(lab - _LAB[name])))


def _shape(region: measure._regionprops.RegionProperties) -> str:
    if region.solidity < 0.82:
        return "star"
    if region.extent > 0.89:
        return "square"
    return "circle" if region.extent > 0.66 else "triangle"


def _relation(first: Seen, second: Seen) -> str:
    dx, dy = first.x - second.x, first.y - second.y
    if abs(dx) > abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Scores the embedded model on captions that training never saw."
    )
    parser.add_argument("--weights", default="demo/weights")
    parser.add_argument("--captions", type=int, default=200)
    parser.add_argument("--steps", type=int, default=28)
    options = parser.parse_args()
    pipeline = FluxPipeline.from_pretrained(options.weights, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    score = score_pipeline(pipeline, held_out_scenes(options.captions), options.steps)
    print(score.line())


if __name__ == "__main__":
    main()
