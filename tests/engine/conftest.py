"""One engine on the embedded model for all engine tests: loading it takes seconds."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cluster.config import ClusterConfig
from cluster.job import Job
from cluster.load import load_config
from cluster.request import parse_request
from cluster.settling import settle
from deployments.engine import Engine, EngineResult, EngineSpec, build_engine, engine_spec
from tests.families import FAMILIES, family_folder

DEMO = Path("configs/demo.yaml")
PROMPT = "a red circle left of a blue square on a white background"

Run = Callable[..., EngineResult]


@pytest.fixture(scope="session", autouse=True)
def _library_warnings() -> None:
    """diffusers, torchao and transformers warn at import, of things that are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cache_dit  # noqa: F401
        import diffusers  # noqa: F401


@pytest.fixture(scope="session")
def config() -> ClusterConfig:
    return load_config(DEMO)


@pytest.fixture(scope="session")
def spec(config: ClusterConfig) -> EngineSpec:
    """The demo's engine, as `make serve` builds it."""
    model = config.models[0]
    return engine_spec(model, model.pools[0])


@pytest.fixture(scope="session")
def engine(spec: EngineSpec) -> Engine:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build_engine(spec)


@pytest.fixture(scope="session")
def family_folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny pipeline, by its name; built once.

    A test of a family that cannot be loaded here is skipped.
    """
    base = tmp_path_factory.mktemp("families")

    def folder(name: str) -> Path:
        family = FAMILIES[name]
        if family.needs and find_spec(family.needs) is None:
            pytest.skip(f"{family.pipeline} cannot be loaded without {family.needs}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return family_folder(name, base)

    return folder


@pytest.fixture
def job(config: ClusterConfig) -> Callable[..., Job]:
    """A settled job from request fields; the prompt and a seed are there unless given."""

    def make(**fields: Any) -> Job:
        body = {"prompt": PROMPT, "seed": 3} | fields
        return settle(parse_request(body), config, "test", 0)[1]

    return make


@pytest.fixture
def with_cache(spec: EngineSpec, engine: Engine) -> Iterator[Callable[..., None]]:
    """Changes the cache settings of the running engine's tiers; undone after the test."""

    def change(**settings: Any) -> None:
        tiers = {
            tier: cache.overridden(type(cache).model_validate(settings))
            for tier, cache in spec.tiers.items()
        }
        engine._spec = dataclasses.replace(spec, tiers=tiers)  # type: ignore[attr-defined]

    yield change
    engine._spec = spec  # type: ignore[attr-defined]


def onward(done: int, total: int) -> bool:
    return True
