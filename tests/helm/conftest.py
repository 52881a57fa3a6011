"""The chart rendered once for each values file and engine, and the tools that the checks need."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.helm.engines import CHART, RELEASE, Engine, Helm3, Helm4
from tests.helm.full_release import EVERYTHING, both_clusters, not_serving
from tests.helm.manifests import Manifest

TOOLS = Path("tests/helm/tools")
CASES = sorted(path.name.removesuffix("-values.yaml") for path in CHART.glob("ci/*-values.yaml"))

Rendered = Callable[..., list[Manifest]]


def values_file(case: str) -> Path:
    return CHART / "ci" / f"{case}-values.yaml"


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of the npm tools. Without all tools the chart is not checked.

    That is a skip on a laptop, and a failure where the environment says CI=true.
    """
    missing = [
        *(name for name in ("helm_python", "kubernetes_validate") if not _installed(name)),
        *(["node"] if shutil.which("node") is None else []),
        *([] if (TOOLS / "node_modules/.bin/helm").exists() else ["npm packages"]),
    ]
    if missing:
        said = (
            f"the chart is not checked: {', '.join(missing)} missing; "
            "run `make setup chart-tools`, which needs npm"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    return TOOLS


@pytest.fixture(scope="session")
def helm3(tools: Path) -> Helm3:
    return Helm3((tools / "node_modules/.bin/helm").resolve())


@pytest.fixture(scope="session")
def helm4(tools: Path) -> Helm4:
    return Helm4()


@pytest.fixture(scope="session")
def engines(helm3: Helm3, helm4: Helm4) -> dict[str, Engine]:
    return {engine.name: engine for engine in (helm3, helm4)}


@pytest.fixture(scope="session")
def rendered(engines: dict[str, Engine]) -> Rendered:
    """The objects of a values file under `ci/`; tests may not change them.

    `rendered(case, engine="helm4", release="studio")`.
    """

    @cache
    def render(case: str, engine: str = "helm4", release: str = RELEASE) -> list[Manifest]:
        return engines[engine].render([values_file(case)], release=release)

    return render


@pytest.fixture(scope="session", params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    """The name of each values file under `ci/`."""
    return str(request.param)


@pytest.fixture(scope="session")
def objects(case: str, rendered: Rendered) -> list[Manifest]:
    """The objects of a values file."""
    return rendered(case)


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


@pytest.fixture(scope="module")
def platform(engines: dict[str, Engine]) -> list[Manifest]:
    """A release with all that can be switched on."""
    return engines["helm4"].render(over=EVERYTHING)


@pytest.fixture(scope="module")
def pods(platform: list[Manifest]) -> list[Manifest]:
    """The pods of `platform` during an upgrade."""
    return both_clusters(platform)


@pytest.fixture(scope="module")
def strangers(engines: dict[str, Engine], platform: list[Manifest]) -> list[Manifest]:
    """Pods beside `platform` that are none of its nodes."""
    return not_serving(platform, engines["helm4"])
