"""Files that rank 0 puts into the result store, and what files say of how they were made."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.acceleration import ParallelismConfig
from cluster.errors import ResultsUnavailable
from cluster.job import Job
from cluster.picture_metadata import picture_metadata
from cluster.receipt import Stored
from cluster.results import ResultsConfig
from cluster.tiers import Tier
from deployments.clips import decode_clip, is_clip
from deployments.engine import Engine, EngineResult, EngineSpec, World, build_engine
from deployments.file_metadata import read_metadata
from deployments.results import ResultStore
from tests.engine.conftest import onward
from tests.engine.test_edits import family_of
from tests.engine.test_parallel import WORLD_S, job_of, spec_of
from tests.engine.worlds import run_world
from tests.families import family_folder

pytestmark = pytest.mark.filterwarnings("ignore")

MakeJob = Callable[..., Job]


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> Iterator[ResultStore]:
    """A folder that the running engine stores in; undone after the test."""
    before = engine._results  # type: ignore[attr-defined]
    engine._results = ResultStore(  # type: ignore[attr-defined]
        ResultsConfig(url=str(tmp_path / "results"))
    )
    yield engine._results  # type: ignore[attr-defined]
    engine._results = before  # type: ignore[attr-defined]


def test_the_pictures_of_a_job_are_stored_and_not_sent(
    engine: Engine, job: MakeJob, store: ResultStore
) -> None:
    wanted = job(n=2, num_inference_steps=4)
    sent = engine.generate(wanted, Tier.NONE, onward)
    kept = engine.generate(dataclasses.replace(wanted, store_as="images/img_ab"), Tier.NONE, onward)
    assert kept.images == ()
    assert kept.stored == tuple(
        Stored(f"images/img_ab_{index}", len(file)) for index, file in enumerate(sent.images)
    )
    assert tuple(store.read(each.key) for each in kept.stored) == sent.images
    assert sent.stored == ()


def test_a_store_that_takes_nothing_is_named_and_harms_no_later_job(
    engine: Engine, job: MakeJob, store: ResultStore, tmp_path: Path
) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    wanted = job(num_inference_steps=2)
    with pytest.raises(ResultsUnavailable, match="images/img_ab_0 cannot be written to"):
        engine.generate(dataclasses.replace(wanted, store_as="images/img_ab"), Tier.NONE, onward)
    assert engine.generate(wanted, Tier.NONE, onward).images


def _stored_on_rank(
    rank: int, size: int, rendezvous: str, spec: EngineSpec, port: int, job: Job
) -> EngineResult:
    world = World(rank, size, "127.0.0.1", port, timeout_s=WORLD_S)
    return build_engine(spec, world).generate(job, Tier.NONE, onward)


def test_a_clip_is_stored_under_the_jobs_own_key_by_rank_0(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    import torch.distributed as dist

    family = family_of("wan2.1")
    folder = family_folder("wan2.1", tmp_path_factory.mktemp("stored"))
    results = ResultsConfig(url=str(tmp_path / "results"))
    spec = spec_of(family, folder, ParallelismConfig(ulysses_size=2), results=results)
    job = job_of(family, guided=False, output_format="mp4", store_as="videos/video_ab")
    rendezvous = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    first, second = run_world(_stored_on_rank, 2, spec, rendezvous.port, job)
    file = ResultStore(results).read("videos/video_ab")
    assert file is not None
    assert first.stored == (Stored("videos/video_ab", len(file)),)
    assert second.stored == ()
    assert is_clip(file)
    assert decode_clip(file).shape == (5, 64, 64, 3)
    assert read_metadata(file) == picture_metadata(job, Tier.NONE, 0, "settings")


@pytest.fixture
def saying(engine: Engine) -> Iterator[Callable[[Any], None]]:
    """Changes how much the running engine's files say; undone after the test."""
    before = engine._spec  # type: ignore[attr-defined]

    def change(level: Any) -> None:
        engine._spec = dataclasses.replace(  # type: ignore[attr-defined]
            before, picture_metadata=level
        )

    yield change
    engine._spec = before  # type: ignore[attr-defined]


@pytest.mark.parametrize("level", ["none", "settings", "all"])
@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_a_file_says_how_it_was_made(
    engine: Engine, job: MakeJob, saying: Callable[[Any], None], output_format: str, level: Any
) -> None:
    saying(level)
    wanted = job(n=2, num_inference_steps=2, output_format=output_format)
    files = engine.generate(wanted, Tier.NONE, onward).images
    assert [read_metadata(file) for file in files] == [
        picture_metadata(wanted, Tier.NONE, index, level) for index in range(2)
    ]


def test_the_same_request_gives_the_same_bytes_whatever_its_id(
    engine: Engine, job: MakeJob, saying: Callable[[Any], None]
) -> None:
    def digest(level: Any, request_id: str) -> str:
        saying(level)
        wanted = dataclasses.replace(job(num_inference_steps=2), request_id=request_id)
        (file,) = engine.generate(wanted, Tier.NONE, onward).images
        return hashlib.sha256(file).hexdigest()

    assert digest("settings", "a") == digest("settings", "b")
    assert digest("all", "a") != digest("all", "b")


def test_what_a_file_says_changes_no_pixel(
    engine: Engine, job: MakeJob, saying: Callable[[Any], None]
) -> None:
    from deployments.fidelity import frames_of

    files = []
    for level in ("none", "all"):
        saying(level)
        files += engine.generate(job(num_inference_steps=2), Tier.NONE, onward).images
    assert files[0] != files[1]
    assert np.array_equal(frames_of(files[0]), frames_of(files[1]))
