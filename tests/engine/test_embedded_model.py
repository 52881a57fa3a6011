"""The embedded model obeys its prompt, as the reader of pictures sees it."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from cluster.config import ClusterConfig
from cluster.request import parse_request
from cluster.settling import settle
from cluster.tiers import Tier
from demo.adherence import judge, score_pictures
from demo.draw import draw
from demo.world import caption, held_out_scenes, is_held_out, parse, random_scene, training_scene
from deployments.engine import Engine
from tests.engine.conftest import onward

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_reader_reads_drawn_pictures_without_fault_even_blurred() -> None:
    rng = random.Random(7)
    scenes = [random_scene(rng) for _ in range(100)]
    pictures = [draw(scene, rng).filter(ImageFilter.GaussianBlur(1.5)) for scene in scenes]
    assert score_pictures(scenes, pictures).share() == 1.0


def test_the_reader_finds_the_wrong_picture_wrong() -> None:
    rng = random.Random(7)
    scenes = [random_scene(rng) for _ in range(100)]
    pictures = [draw(scene, rng) for scene in scenes]
    assert score_pictures(scenes[1:], pictures[:-1]).share() < 0.4


def test_a_caption_tells_its_scene() -> None:
    rng = random.Random(1)
    scenes = [random_scene(rng) for _ in range(500)]
    assert [parse(caption(scene)) for scene in scenes] == scenes
    assert judge("something else", Image.new("RGB", (128, 128))) is None


def test_training_never_sees_a_held_out_scene() -> None:
    rng = random.Random(2)
    assert not any(is_held_out(training_scene(rng)) for _ in range(2000))
    assert all(is_held_out(scene) for scene in held_out_scenes(200))


def test_weights_are_safetensors_of_at_most_16_mb() -> None:
    files = [path for path in Path("demo/weights").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 16e6
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".txt"}


def test_pictures_obey_captions_that_training_never_saw(
    engine: Engine, config: ClusterConfig
) -> None:
    scenes = held_out_scenes(40)
    pictures = []
    for scene in scenes:
        request = parse_request({"prompt": caption(scene), "seed": 0})
        result = engine.generate(settle(request, config, "test", 0)[1], Tier.NONE, onward)
        pictures.append(Image.open(io.BytesIO(result.images[0])))
    assert score_pictures(scenes, pictures).share() >= 0.85


def test_the_example_of_its_readme_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", Path("demo/README.md").read_text(), re.DOTALL)
    star = tmp_path / "star.png"
    exec(compile(code.replace("star.png", str(star)), "demo/README.md", "exec"), {})
    assert judge("a large orange star on a gray background", Image.open(star)) is not None
