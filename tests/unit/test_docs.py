"""The documents are true where a machine can tell: examples, tables of modules, links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config import ClusterConfig

PARALLELISM = Path("docs/parallelism.md").read_text()
ARCHITECTURE = Path("docs/architecture.md").read_text()
README = Path("README.md").read_text()
DOCUMENTS = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]


def pools_in(text: str) -> list[Any]:
    """The YAML blocks of a document that hold pools."""
    blocks = [yaml.safe_load(code) for code in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    return [block["pools"] for block in blocks if "pools" in block]


def described(pools: list[Any]) -> str:
    return str(pools[0]["name"])


@pytest.mark.parametrize("pools", pools_in(PARALLELISM) + pools_in(README), ids=described)
def test_pools_of_examples_are_right(pools: list[Any]) -> None:
    model = {"name": "example", "source": "someones/pipeline", "default_tier": "none"}
    config = ClusterConfig.model_validate({"models": [model | {"pools": pools}]})
    assert len(config.models[0].pools) == len(pools)


def test_there_are_examples_of_parallelism() -> None:
    assert len(pools_in(PARALLELISM)) >= 8


def test_every_module_is_in_the_table_of_modules_and_no_other() -> None:
    named = set()
    for first_cell in re.findall(r"^\| (`.*?) \|", ARCHITECTURE, re.MULTILINE):
        files = re.findall(r"`([\w/]+\.py)`", first_cell)
        package = files[0].rpartition("/")[0] if files else ""
        named |= {f"{package}/{file.rpartition('/')[2]}" for file in files}
    there = {
        str(path)
        for package in ("placement", "cluster", "deployments")
        for path in Path(package).glob("*.py")
        if path.name != "__init__.py"
    }
    assert named == there


def test_the_table_of_what_runs_where_has_its_place() -> None:
    begin, end = ("<!-- what runs where: begin -->", "<!-- what runs where: end -->")
    assert 0 < PARALLELISM.index(begin) < PARALLELISM.index(end)


def test_every_config_is_in_the_readme() -> None:
    named = set(re.findall(r"\((configs/[\w.-]+\.yaml)\)", README))
    assert named == {str(path) for path in Path("configs").glob("*.yaml")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if not re.match(r"\w+://", target):
            assert (document.parent / target).exists(), target
