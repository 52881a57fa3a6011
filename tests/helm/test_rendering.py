"""What the chart makes of each values file under `ci/`: alike in two engines, and right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helm import kuberay_rules, pod_rules, selectors
from tests.helm.conftest import CASES, Rendered, values_file
from tests.helm.engines import CHART, RELEASE, Helm3, Helm4
from tests.helm.manifests import Manifest, identity, pod_templates, read_yaml
from tests.helm.schemas import schema_faults
from tests.helm.selectors import selector_faults

OTHER_RELEASE = f"{RELEASE}-b"
"""Its name begins with the other's, which is where a careless selector would catch it."""

RULES: dict[str, Callable[[Sequence[Manifest]], list[str]]] = {
    **kuberay_rules.RULES,
    **pod_rules.RULES,
    **selectors.RULES,
}


def test_each_use_has_its_values() -> None:
    assert CASES == [
        "default",
        "gcs-ft",
        "hostpath-cache",
        "incremental",
        "locked-down",
        "minimal-cpu",
        "monitoring",
        "multi-gpu",
    ]


def test_both_engines_render_the_same(case: str, rendered: Rendered) -> None:
    third, fourth = rendered(case, "helm3"), rendered(case, "helm4")
    assert _texts(third) == _texts(fourth)


def test_helm_lint_finds_nothing(case: str, helm3: Helm3) -> None:
    assert "0 chart(s) failed" in helm3.lint([values_file(case)])


def test_schemas_know_every_key(objects: list[Manifest], tools: Path) -> None:
    assert schema_faults(objects, tools) == []


@pytest.mark.parametrize("rule", RULES)
def test_rules_beyond_schemas_hold(objects: list[Manifest], rule: str) -> None:
    assert RULES[rule](objects) == []


def test_selectors_stay_within_the_release(
    case: str, objects: list[Manifest], rendered: Rendered
) -> None:
    others = rendered(case, release=OTHER_RELEASE)
    assert selector_faults(objects, others) == []
    assert selector_faults(others, objects) == []


def test_two_releases_share_no_name(case: str, objects: list[Manifest], rendered: Rendered) -> None:
    both = [*objects, *rendered(case, release=OTHER_RELEASE)]
    assert len({identity(manifest) for manifest in both}) == len(both)


def test_labels_of_a_user_replace_none_that_selectors_need(helm4: Helm4) -> None:
    labels = {"app.kubernetes.io/instance": "other", "team": "pictures"}
    values = {"head": {"podLabels": labels}, "workerGroups": {"cpu": {"podLabels": labels}}}
    for template in pod_templates(helm4.render(over=values)).values():
        assert template["metadata"]["labels"]["app.kubernetes.io/instance"] == RELEASE
        assert template["metadata"]["labels"]["team"] == "pictures"


@pytest.fixture(scope="module")
def later_chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with another version, and nothing else changed."""
    folder = tmp_path_factory.mktemp("later") / "dit-serve"
    shutil.copytree(CHART, folder)
    about = folder / "Chart.yaml"
    version = read_yaml(about.read_text())["version"]
    about.write_text(about.read_text().replace(f"version: {version}", "version: 9.8.7", 1))
    return folder


def test_a_new_chart_version_leaves_pods_alone(
    case: str, objects: list[Manifest], helm4: Helm4, later_chart: Path
) -> None:
    """KubeRay makes a whole new cluster of any change of a pod template."""
    later = helm4.render([values_file(case)], chart=later_chart)
    assert "9.8.7" in json.dumps(later)
    assert pod_templates(later) == pod_templates(objects)


def _texts(objects: Sequence[Manifest]) -> dict[tuple[str, str], str]:
    """Each object as text, in which 1, 1.0 and true differ and the order of keys is lost.

    The Serve config is a text within an object; engines may indent it differently.
    """
    return {identity(manifest): json.dumps(_read(manifest), sort_keys=True) for manifest in objects}


def _read(manifest: Manifest) -> dict[str, Any]:
    if manifest["kind"] != "RayService":
        return manifest
    spec = manifest["spec"]
    return {**manifest, "spec": {**spec, "serveConfigV2": read_yaml(spec["serveConfigV2"])}}
