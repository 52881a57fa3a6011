"""Reading a Serve config file: every fault is a line that names the file and the path within it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config import ClusterConfig
from cluster.errors import ConfigError
from cluster.load import IMPORT_PATH, application_args, load_config, read_document, validate_args

CONFIGS = Path(__file__).parents[3] / "configs"
OURS = f"applications:\n  - import_path: {IMPORT_PATH}\n"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "serve.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def serve_file(folder: Path, args: object, *, others: int = 0) -> Path:
    """A Serve config with our application after `others` that are not ours."""
    foreign = [{"name": f"other{i}", "import_path": "other:app"} for i in range(others)]
    ours = {"name": "dit-serve", "import_path": IMPORT_PATH, "args": args}
    return written(folder, yaml.safe_dump({"applications": [*foreign, ours]}, sort_keys=False))


def faults(path: Path) -> list[str]:
    """What follows the file's name in each line of the refusal."""
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{path}: ") for line in lines), lines
    return [line.removeprefix(f"{path}: ") for line in lines]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_configs_are_valid(path: Path):
    assert load_config(path).models


def test_there_is_a_shipped_config_for_the_demo():
    assert (CONFIGS / "demo.yaml").is_file()


def test_a_file_gives_the_config_that_its_args_give(tmp_path: Path, args: dict[str, Any]):
    assert load_config(serve_file(tmp_path, args)) == ClusterConfig.model_validate(args)


def test_our_application_is_found_beside_others(tmp_path: Path, args: dict[str, Any]):
    path = serve_file(tmp_path, args, others=2)
    assert application_args(read_document(path), path) == ("applications[2].args", args)
    args["models"][0]["defualt_tier"] = "fast"
    (line,) = faults(serve_file(tmp_path, args, others=2))
    assert line.startswith("applications[2].args.models[0]: ")
    assert "did you mean default_tier?" in line


def test_every_fault_is_a_line_with_file_and_path(tmp_path: Path, args: dict[str, Any]):
    args["models"][0]["pools"][0]["device"] = "gpu"
    args["models"][0]["default_steps"] = "many"
    assert sorted(line.split(": ")[0] for line in faults(serve_file(tmp_path, args))) == [
        "applications[0].args.models[0].default_steps",
        "applications[0].args.models[0].pools[0].device",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["applications"]),
        ("- applications", ["applications", "mapping"]),
        ("proxy_location: EveryNode", ["applications: "]),
        ("applications: []", ["applications: ", "at least one"]),
        ("applications: {}", ["applications: "]),
        ("applications: [null]", ["applications: ", f"import_path: {IMPORT_PATH}"]),
        ("applications: [{import_path: 'a:b'}]", ["applications: ", IMPORT_PATH]),
        (OURS, ["applications[0].args: ", "models"]),
        (OURS + "    args: [models]", ["applications[0].args: ", "models"]),
        (OURS + "    args: {}", ["applications[0].args.models: "]),
    ],
)
def test_a_file_that_is_no_config_of_ours_is_refused(tmp_path: Path, text: str, words: list[str]):
    (line,) = faults(written(tmp_path, text))
    assert [word for word in words if word not in line] == [], line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", ["not valid YAML", "line 1"]),
        ("a: 1\nb:\n\t- 2", ["not valid YAML", "line 3"]),
        ("a: *nowhere", ["not valid YAML", "nowhere"]),
        ("a: 1\n---\nb: 2", ["not valid YAML", "single document"]),
        (b"a: \x00", ["not valid YAML"]),
        (b"\xff\xfe", ["cannot be read"]),
        ("a: 1\nb: 2\na: 3", ["key a is given twice", "line 3"]),
        (OURS + "    name: x\n    name: x\n", ["key name is given twice", "line 4"]),
        (
            OURS + "    args: {models: [{pools: [{cache_config: {Fn: 1, Fn: 1}}]}]}",
            ["key Fn is given twice", "line 3"],
        ),
    ],
)
def test_broken_yaml_is_one_line_that_says_where(
    tmp_path: Path, text: str | bytes, words: list[str]
):
    (line,) = faults(written(tmp_path, text))
    assert [word for word in words if word not in line] == [], line


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    (line,) = faults(tmp_path / "nowhere.yaml")
    assert "No such file" in line


def test_a_folder_is_no_config(tmp_path: Path):
    (line,) = faults(tmp_path)
    assert "directory" in line


def test_a_file_runs_no_code(tmp_path: Path):
    made = tmp_path / "made"
    (line,) = faults(written(tmp_path, f"a: !!python/object/apply:os.mkdir ['{made}']"))
    assert "not valid YAML" in line
    assert not made.exists()


def test_anchors_and_aliases_work(tmp_path: Path):
    path = written(
        tmp_path,
        OURS
        + """
    args:
      models:
        - {name: a, source: s, pools: &pools [{name: p, cache_config: {Fn_compute_blocks: 1}}]}
        - {name: b, source: s, pools: *pools}
""",
    )
    first, second = load_config(path).models
    assert first.pools == second.pools


def test_args_are_validated_under_the_path_that_the_caller_gives():
    with pytest.raises(ConfigError, match=r"^args\.models\[0\]\.name: ") as caught:
        validate_args({"models": [{"name": 5, "source": "s", "pools": [{"name": "p"}]}]}, "args")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["? [a]\n: 1\n", "{{a: 1}: 2}\n", "[" * 3000])
def test_yaml_that_cannot_be_a_config_is_a_config_error(tmp_path: Path, text: str):
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_document(file)


def test_settings_can_be_shared_with_a_merge_key(tmp_path: Path):
    file = tmp_path / "merge.yaml"
    file.write_text("base: &base {a: 1, b: 2}\nother:\n  <<: *base\n  b: 3\n")
    assert read_document(file)["other"] == {"a": 1, "b": 3}


def test_a_file_is_read_over_the_environment_and_its_own_env_vars(tmp_path: Path):
    pool = {"name": "p", "cache_config": {"Bn_compute_blocks": 3}}
    ours = {
        "import_path": IMPORT_PATH,
        "args": {"models": [{"name": "m", "source": "s", "pools": [pool]}]},
        "runtime_env": {"env_vars": {"DIT_SERVE_CACHE_DIT_FN": "2"}},
    }
    path = written(tmp_path, yaml.safe_dump({"applications": [ours]}))
    environment = {f"DIT_SERVE_CACHE_DIT_{name}": "1" for name in ("FN", "BN", "WARMUP")}
    cache = load_config(path, environment).models[0].pools[0].cache_config
    assert (cache.Fn_compute_blocks, cache.Bn_compute_blocks, cache.max_warmup_steps) == (2, 3, 1)


def test_env_vars_in_a_file_are_text(tmp_path: Path):
    env = "    runtime_env: {env_vars: {DIT_SERVE_CACHE_DIT_FN: 1}}\n    args: {models: []}\n"
    assert faults(written(tmp_path, OURS + env)) == [
        "applications[0].runtime_env.env_vars.DIT_SERVE_CACHE_DIT_FN: "
        "must be text, in quotes (given: 1)"
    ]
