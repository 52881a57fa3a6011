"""The world that the embedded model knows: one or two flat shapes on a plain background.

Standard library only. `Scene` is what a picture shows; `caption` puts it into words; `is_held_out`
splits the world into what training may see and what only the adherence score may ask for.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle", "star")
BACKGROUNDS = ("white", "black", "gray")
SIZES = ("small", "large")
RELATIONS = ("left of", "right of", "above", "below")
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}

HELD_OUT_PERCENT = 10


@dataclass(frozen=True)
class Thing:
    """One flat shape."""

    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """What a picture shows: one thing with an optional size, or two things in a relation.

    `relation` says where `things[0]` stands as seen from `things[1]`.
    """

    things: tuple[Thing, ...]
    background: str
    size: str | None = None
    relation: str | None = None

    def __post_init__(self) -> None:
        if len(self.things) not in (1, 2):
            raise ValueError(f"a scene has one or two things, not {len(self.things)}")
        if (self.relation is None) != (len(self.things) == 1):
            raise ValueError("two things need a relation, and one thing has none")
        if self.size is not None and len(self.things) == 2:
            raise ValueError("only a single thing has a size")


def caption(scene: Scene) -> str:
    """The canonical sentence of a scene.

    For example "a red circle above a blue star on a gray background".
    """
    words = []
    if scene.size:
        words.append(f"a {scene.size} {scene.things[0]}")
    else:
        words.append(_with_article(scene.things[0]))
    if scene.relation:
        words.append(f"{scene.relation} {_with_article(scene.things[1])}")
    words.append(f"on a {scene.background} background")
    return " ".join(words)


def spoken_caption(scene: Scene, rng: random.Random) -> str:
    """The canonical sentence, or now and then a looser one that people would type."""
    text = caption(scene)
    if rng.random() < 0.6:
        return text
    if rng.random() < 0.4:
        text = text.replace(" left of", " to the left of").replace(" right of", " to the right of")
    if rng.random() < 0.3:
        text = text.replace(" on a ", ", ")
    elif rng.random() < 0.3:
        text = text.replace(" background", "")
    if rng.random() < 0.2:
        text = " ".join(word for word in text.split() if word not in ("a", "an"))
    if rng.random() < 0.3:
        words = text.split()
        filler = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 9)))
        words.insert(rng.randrange(len(words) + 1), filler)
        text = " ".join(words)
    return text


def random_scene(rng: random.Random) -> Scene:
    """Any scene of the world: one thing in a third of the cases, else two."""
    background = rng.choice(BACKGROUNDS)
    first = Thing(rng.choice(COLOURS), rng.choice(SHAPES))
    if rng.random() < 1 / 3:
        return Scene((first,), background, size=rng.choice((None, *SIZES)))
    second = Thing(rng.choice(COLOURS), rng.choice(SHAPES))
    return Scene((first, second), background, relation=rng.choice(RELATIONS))


def is_held_out(scene: Scene) -> bool:
    """Whether training must never see this scene.

    A pair of things is held out as a pair: in every order, relation and background.
    A single thing is held out together with its background, in every size.
    """
    names = sorted(str(thing) for thing in scene.things)
    if len(names) == 1:
        names.append(scene.background)
    digest = hashlib.sha256("|".join(names).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


def training_scene(rng: random.Random) -> Scene:
    """A random scene that training may see."""
    while is_held_out(scene := random_scene(rng)):
        pass
    return scene


def held_out_scenes(count: int, seed: int = 0) -> list[Scene]:
    """`count` different scenes that training never saw, always the same ones for a seed."""
    rng = random.Random(seed)
    scenes: dict[Scene, None] = {}
    while len(scenes) < count:
        if is_held_out(scene := random_scene(rng)):
            scenes[scene] = None
    return list(scenes)


def _with_article(thing: Thing) -> str:
    return f"{'an' if thing.colour[0] in 'aeiou' else 'a'} {thing}"


def _one_of(name: str, words: tuple[str, ...]) -> str:
    return f"(?P<{name}>{'|'.join(words)})"


_SENTENCE = re.compile(
    rf"^(?:an? )?(?:{_one_of('size', SIZES)} )?"
    rf"{_one_of('colour', COLOURS)} {_one_of('shape', SHAPES)}"
    rf"(?: (?:to the )?{_one_of('relation', RELATIONS)} (?:an? )?"
    rf"{_one_of('other_colour', COLOURS)} {_one_of('other_shape', SHAPES)})?"
    rf"(?:,| on)?(?: an?)? {_one_of('background', BACKGROUNDS)}(?: background)?\.?$"
)


def parse(text: str) -> Scene | None:
    """The scene that a caption describes; None for a sentence outside this world."""
    found = _SENTENCE.match(" ".join(text.lower().split()))
    if found is None or (found["size"] and found["relation"]):
        return None
    things = [Thing(found["colour"], found["shape"])]
    if found["relation"]:
        things.append(Thing(found["other_colour"], found["other_shape"]))
    return Scene(tuple(things), found["background"], found["size"], found["relation"])
