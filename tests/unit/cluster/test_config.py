"""The cluster's config: what it may say, what that means, and the line that tells a fault."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cluster.config import ClusterConfig, ModelConfig, config_hash, parse_size
from cluster.pool import PoolConfig
from cluster.sections import fault_lines
from cluster.tiers import Tier

Args = dict[str, Any]
POOL = ("models", 0, "pools", 0)
"""Where the CPU pool of the sample config stands; the CUDA pool is beside it."""
CUDA_POOL = ("models", 0, "pools", 1)


def at(args: Args, path: tuple[str | int, ...]) -> Any:
    node: Any = args
    for part in path:
        node = node[part]
    return node


def faults(args: Args) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        ClusterConfig.model_validate(args)
    lines = fault_lines(caught.value)
    assert not [line for line in lines if "\n" in line]
    return lines


def fault(args: Args) -> str:
    (line,) = faults(args)
    return line


def pool(**settings: Any) -> PoolConfig:
    return PoolConfig.model_validate({"name": "a", "device": "cpu"} | settings)


def test_every_value_of_a_config_reaches_its_place(config: ClusterConfig):
    (model,) = config.models
    assert (model.name, model.source, model.default_tier) == ("shapes", "demo/weights", "medium")
    assert (model.default_size, model.default_steps) == ("128x128", 20)
    assert (model.limits.max_side, model.limits.max_images) == (256, 4)
    cpu, cuda = model.pools
    assert (cpu.name, cpu.device, cpu.dtype, cpu.compile) == ("cpu", "cpu", "float32", False)
    assert cpu.cache_config.residual_diff_threshold == 0.12
    assert cpu.backend == "native"
    assert (cpu.autoscaling.min_replicas, cpu.autoscaling.max_replicas) == (1, 4)
    assert cuda.quantize_config is not None
    assert cuda.quantize_config.quant_type == "float8_per_row"
    assert cuda.quantize_config.exclude_layers == ("embedder", "embed")


def test_a_name_and_a_source_are_all_that_a_model_and_its_pool_need():
    config = ClusterConfig.model_validate(
        {"models": [{"name": "flux-dev", "source": "owner/repo", "pools": [{"name": "gpu"}]}]}
    )
    (model,) = config.models
    (only,) = model.pools
    assert model.default_tier is Tier.MEDIUM
    assert model.tiers == tuple(Tier)
    assert (only.num_ranks, only.dims.label) == (1, "single")
    assert (only.quantize_config, only.backend) == (None, None)
    assert (only.autoscaling.min_replicas, only.autoscaling.max_replicas) == (1, 1)


def test_a_list_of_tiers_gives_each_the_pools_settings():
    listed = pool(tiers=["fast", "none"], cache_config={"Fn_compute_blocks": 1})
    assert set(listed.tiers) == {Tier.FAST, Tier.NONE}
    assert listed.cache_for(Tier.FAST) == listed.cache_for(Tier.NONE) == listed.cache_config


def test_a_map_of_tiers_overrides_the_pools_settings_for_each():
    mapped = pool(
        tiers={"medium": {"cache_config": {"enable_taylorseer": True}}, "ultra": {}},
        cache_config={"Fn_compute_blocks": 1, "taylorseer_order": 2},
    )
    medium, ultra = mapped.cache_for(Tier.MEDIUM), mapped.cache_for(Tier.ULTRA)
    assert set(mapped.tiers) == {Tier.MEDIUM, Tier.ULTRA}
    assert (medium.enable_taylorseer, medium.Fn_compute_blocks) == (True, 1)
    assert (ultra.enable_taylorseer, ultra.taylorseer_order) == (False, 2)


def test_a_tiers_settings_may_stand_bare_or_under_cache_config():
    settings_of = {"warmup_interval": 2, "enable_sperate_cfg": True}
    bare = pool(tiers={"fast": settings_of})
    under = pool(tiers={"fast": {"cache_config": settings_of}})
    assert bare.cache_for(Tier.FAST) == under.cache_for(Tier.FAST)
    assert under.cache_for(Tier.FAST).enable_separate_cfg is True


def test_a_tiers_contract_stands_beside_its_settings_and_changes_no_picture(args: Args):
    settings = {"enable_taylorseer": True}
    contract = {"min_speedup": 1.8, "min_psnr_db": 40}
    at(args, POOL)["tiers"] = {"none": {}, "medium": settings}
    plain = hashed(args)
    for stated in (settings | contract, {"cache_config": settings} | contract):
        at(args, POOL)["tiers"]["medium"] = stated
        made = ClusterConfig.model_validate(args).models[0].pools[0].tiers[Tier.MEDIUM]
        assert (made.min_speedup, made.min_psnr_db) == (1.8, 40)
        assert hashed(args) == plain


def test_a_tier_with_nothing_behind_it_has_the_pools_settings():
    empty = pool(tiers={"fast": None}, cache_config={"warmup_interval": 2})
    assert empty.cache_for(Tier.FAST) == empty.cache_config


def test_a_tier_takes_the_pools_setting_back_by_stating_the_default():
    stated = pool(tiers={"fast": {"Fn_compute_blocks": 8}}, cache_config={"Fn_compute_blocks": 1})
    assert stated.cache_for(Tier.FAST).Fn_compute_blocks == 8


def test_a_model_serves_what_its_pools_serve_together_best_first(model: ModelConfig):
    assert model.tiers == tuple(Tier)


def test_a_model_does_not_serve_a_tier_that_no_pool_names(args: Args):
    at(args, ("models", 0))["pools"] = [{"name": "a", "tiers": ["ultra", "medium"]}]
    assert ClusterConfig.model_validate(args).models[0].tiers == (Tier.MEDIUM, Tier.ULTRA)


def test_a_model_is_found_by_its_name_alone(config: ClusterConfig):
    assert config.model_named("shapes") is config.models[0]
    assert config.model_named("Shapes") is None


@pytest.mark.parametrize(
    ("where", "wrong", "right"),
    [
        ((), "modles", "models"),
        ((), "max_body_byte", "max_body_bytes"),
        (("models", 0), "default_teir", "default_tier"),
        (("models", 0, "limits"), "max_step", "max_steps"),
        (POOL, "num_rank", "num_ranks"),
        (POOL, "attention_backends", "attention_backend"),
        ((*POOL, "cache_config"), "Fn_compute_block", "Fn_compute_blocks"),
        ((*POOL, "cache_config"), "enable_seperate_cfg", "enable_separate_cfg"),
        ((*POOL, "parallelism_config"), "ulysses_sizes", "ulysses_size"),
        ((*POOL, "autoscaling"), "max_replica", "max_replicas"),
        ((*CUDA_POOL, "quantize_config"), "exclude_layer", "exclude_layers"),
        ((*CUDA_POOL, "tiers", "ultra"), "warmup_intervals", "warmup_interval"),
    ],
)
def test_a_wrong_key_is_one_line_with_its_path_and_the_nearest_right_key(
    args: Args, where: tuple[str | int, ...], wrong: str, right: str
):
    at(args, where)[wrong] = 1
    line = fault(args)
    dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    assert line.startswith(dotted.removeprefix("."))
    assert f"unknown key {wrong};" in line
    assert f"did you mean {right}?" in line


def test_a_key_near_to_none_is_refused_with_the_keys_that_there_are(args: Args):
    at(args, (*POOL, "autoscaling"))["xyz"] = 1
    line = fault(args)
    assert "unknown key xyz" in line
    assert "min_replicas, max_replicas" in line


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        ((), "models", {"name": "shapes"}),
        ((), "max_attempts", 0),
        ((), "max_body_bytes", "1MB"),
        (("models", 0), "name", "My Model"),
        (("models", 0), "name", 7),
        (("models", 0), "source", ""),
        (("models", 0), "default_tier", "quick"),
        (("models", 0), "default_size", "100x100"),
        (("models", 0), "default_size", "big"),
        (("models", 0), "default_steps", 0),
        (("models", 0), "max_queued", 0),
        (("models", 0), "judge", "no colon"),
        (("models", 0), "pools", "cpu"),
        (("models", 0, "limits"), "max_side", 8),
        (("models", 0, "limits"), "max_images", 0),
        (POOL, "name", ""),
        (POOL, "num_ranks", 0),
        (POOL, "num_ranks", 1.0),
        (POOL, "num_ranks", "auto"),
        (POOL, "device", "gpu"),
        (POOL, "dtype", "fp8"),
        (POOL, "cpus_per_rank", 0),
        (POOL, "cpus_per_rank", float("nan")),
        (POOL, "compile", "yes"),
        (POOL, "offload", "cpu"),
        (POOL, "cache_config", "fast"),
        (POOL, "attention_backend", "flsh"),
        (POOL, "tiers", []),
        (POOL, "tiers", "medium"),
        ((*POOL, "cache_config"), "residual_diff_threshold", "0.1"),
        ((*POOL, "autoscaling"), "min_replicas", -1),
        ((*CUDA_POOL, "quantize_config"), "quant_type", "fp8"),
        ((*CUDA_POOL, "tiers"), "medium", 5),
    ],
)
def test_a_wrong_value_is_one_line_that_begins_with_its_path(
    args: Args, where: tuple[str | int, ...], key: str, value: object
):
    at(args, where)[key] = value
    dotted = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in (*where, key)
    ).removeprefix(".")
    assert fault(args).startswith(f"{dotted}: ")


@pytest.mark.parametrize("tiers", [["medium", "fats"], {"medium": {}, "fats": {}}])
def test_an_unknown_tier_is_refused_with_the_tiers_that_there_are(args: Args, tiers: object):
    at(args, POOL)["tiers"] = tiers
    line = fault(args)
    assert line.startswith("models[0].pools[0].tiers")
    assert [word for word in ("fats", *Tier) if f"'{word}'" not in line] == []


@pytest.mark.parametrize("missing", ["name", "source", "pools"])
def test_a_model_without_a_key_that_it_needs_is_refused_by_that_key(args: Args, missing: str):
    del at(args, ("models", 0))[missing]
    assert fault(args).startswith(f"models[0].{missing}: ")


def test_a_config_without_models_is_refused():
    assert fault({}).startswith("models: ")
    assert "at least one model" in fault({"models": []})


def test_a_model_without_pools_is_refused(args: Args):
    at(args, ("models", 0))["pools"] = []
    assert "at least one pool" in fault(args)


def test_every_fault_of_a_file_has_a_line(args: Args):
    at(args, POOL)["device"] = "gpu"
    at(args, POOL)["dtype"] = "fp8"
    at(args, ("models", 0))["default_steps"] = 0
    assert sorted(line.partition(":")[0] for line in faults(args)) == [
        "models[0].default_steps",
        "models[0].pools[0].device",
        "models[0].pools[0].dtype",
    ]


@pytest.mark.parametrize(
    ("num_ranks", "parallelism", "label"),
    [
        (2, {"ulysses_size": "auto"}, "ulysses2"),
        (4, {"ring_size": 4}, "ring4"),
        (4, {"ulysses": 2, "tp": "auto"}, "ulysses2+tp2"),
    ],
)
def test_a_pool_has_the_shape_that_its_sizes_make(
    args: Args, num_ranks: int, parallelism: dict[str, object], label: str
):
    at(args, POOL).update(num_ranks=num_ranks, parallelism_config=parallelism)
    made = ClusterConfig.model_validate(args).models[0].pools[0]
    assert (made.dims.world_size, made.dims.label) == (num_ranks, label)


@pytest.mark.parametrize(
    ("num_ranks", "parallelism"),
    [(1, {"ulysses_size": 2}), (4, {"tp_size": 2}), (3, {"ulysses_size": "auto", "tp_size": 2})],
)
def test_sizes_that_do_not_fit_the_ranks_are_refused(
    args: Args, num_ranks: int, parallelism: dict[str, object]
):
    at(args, POOL).update(num_ranks=num_ranks, parallelism_config=parallelism)
    line = fault(args)
    assert line.startswith("models[0].pools[0]: parallelism_config: ")
    assert str(num_ranks) in line


@pytest.mark.parametrize(
    ("settings_of", "words"),
    [
        (
            {"quantize_config": {"quant_type": "float8_blockwise"}},
            ["quantize_config", "float8_per_block", "CUDA", "cpu", "int8_weight_only"],
        ),
        ({"quantize_config": {}}, ["quantize_config", "float8_per_row", "bfloat16", "float32"]),
        (
            {
                "num_ranks": 2,
                "parallelism_config": {"tp_size": 2},
                "quantize_config": {"quant_type": "int8"},
            },
            ["quantize_config", "int8_per_row", "tp_size 2", "int8_weight_only"],
        ),
        (
            {"num_ranks": 2, "parallelism_config": {"ring_size": 2, "ulysses_async": True}},
            ["parallelism_config", "ulysses_async", "ulysses_size"],
        ),
        (
            {
                "num_ranks": 4,
                "parallelism_config": {
                    "ulysses_size": 2,
                    "ring_size": 2,
                    "ulysses_anything": True,
                },
            },
            ["parallelism_config", "ulysses_anything", "ring_size 2"],
        ),
        (
            {"num_ranks": 2, "parallelism_config": {"ulysses_size": 2, "ulysses_float8": True}},
            ["parallelism_config", "ulysses_float8", "CUDA"],
        ),
        (
            {"parallelism_config": {"extra_parallel_modules": ["vae"]}},
            ["parallelism_config", "extra_parallel_modules", "2 ranks"],
        ),
        (
            {"num_ranks": 2, "parallelism_config": {"ulysses_size": 2}, "offload": "model"},
            ["offload", "model", "text_encoder"],
        ),
        (
            {"num_ranks": 8, "parallelism_config": {"tp_size": 8}, "ranks_per_node": 4},
            ["ranks_per_node", "4", "tp_size 8", "straddle"],
        ),
        ({"device": "cuda", "gpus_per_rank": 0}, ["gpus_per_rank", "cuda"]),
        ({"offload": "sequential"}, ["offload", "sequential", "cuda"]),
        ({"generator_device": "cuda"}, ["generator_device", "device: cuda"]),
        (
            {"attention_backend": "native", "parallelism_config": {"attention_backend": "sage"}},
            ["attention_backend", "native and sage"],
        ),
        (
            {"autoscaling": {"min_replicas": 3, "max_replicas": 2}},
            ["autoscaling: min_replicas (3)", "max_replicas (2)"],
        ),
        (
            {
                "cache_config": {"steps_computation_mask": "fast"},
                "tiers": {"medium": {"scm_compute_bins": [4], "scm_cache_bins": [4]}},
            },
            ["tier medium", "cache_config", "steps_computation_mask"],
        ),
        (
            {
                "cache_config": {"num_inference_steps": 28},
                "tiers": {"medium": {"steps_computation_mask": [1, 0, 1]}},
            },
            ["tier medium", "3 steps", "28"],
        ),
    ],
)
def test_settings_of_a_pool_that_contradict_each_other_are_refused(
    args: Args, settings_of: Args, words: list[str]
):
    at(args, POOL).update(settings_of)
    line = fault(args)
    assert line.startswith("models[0].pools[0]")
    assert [word for word in words if word not in line] == [], line


def test_the_attention_backend_may_stand_in_either_place_or_both():
    alone = pool(attention_backend="sage")
    inside = pool(parallelism_config={"attention_backend": "sage"})
    both = pool(attention_backend="sage", parallelism_config={"attention_backend": "sage"})
    assert alone.backend == inside.backend == both.backend == "sage"


def test_two_pools_of_one_name_are_refused(args: Args):
    at(args, CUDA_POOL)["name"] = "cpu"
    assert fault(args).startswith("models[0]: pools: two pools have the same name")


def test_two_models_of_one_name_are_refused(args: Args):
    args["models"] *= 2
    assert fault(args).startswith("models: two models have the same name")


def test_a_default_tier_that_no_pool_serves_is_refused(args: Args):
    at(args, ("models", 0))["default_tier"] = "ultra"
    del at(args, ("models", 0, "pools"))[1]
    line = fault(args)
    assert line.startswith("models[0]: default_tier: no pool serves ultra")
    assert "none, slow, medium, fast" in line


def test_a_config_does_not_change_after_it_is_read(config: ClusterConfig):
    with pytest.raises(ValidationError):
        config.max_attempts = 5
    with pytest.raises(ValidationError):
        config.models[0].pools[0].num_ranks = 5


def test_a_config_crosses_processes_with_its_tiers_settings(config: ClusterConfig):
    there = pickle.loads(pickle.dumps(config))
    assert there == config
    for here_pool, there_pool in zip(config.models[0].pools, there.models[0].pools, strict=True):
        for tier in here_pool.tiers:
            assert there_pool.cache_for(tier) == here_pool.cache_for(tier)


@given(st.integers(1, 600), st.integers(1, 600))
def test_any_two_multiples_of_sixteen_are_a_size(width: int, height: int):
    assert parse_size(f"{width * 16}x{height * 16}") == (width * 16, height * 16)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "128",
        "128x",
        "x128",
        "128X128",
        "128 x 128",
        " 128x128",
        "-16x16",
        "+16x16",
        "128x128x128",
        "1e3x16",
        "16.0x16",
        "١٦x16",
        "16x١٦",
        "²x²",
        "0000000016x16",
        "auto",
    ],
)
def test_what_is_no_size_is_refused_with_an_example(text: str):
    with pytest.raises(ValueError, match="1024x1024"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0x0", "0x16", "16x0", "100x128", "128x8", "15x17"])
def test_sides_are_multiples_of_sixteen_and_not_zero(text: str):
    with pytest.raises(ValueError, match=f"multiples of 16 .*{text}"):
        parse_size(text)


def hashed(args: Args) -> str:
    model = ClusterConfig.model_validate(args).models[0]
    return config_hash(model, model.pools[0])


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        (("models", 0), "source", "demo/other"),
        (("models", 0), "max_sequence_length", 20),
        (POOL, "dtype", "bfloat16"),
        (POOL, "device", "cuda"),
        (POOL, "compile", True),
        (POOL, "vae_tiling", True),
        (POOL, "max_batch", 2),
        (POOL, "attention_backend", "_sdpa_cudnn"),
        ((*POOL, "cache_config"), "Fn_compute_blocks", 2),
        ((*POOL, "cache_config"), "enable_taylorseer", False),
        (POOL, "tiers", {"medium": {"residual_diff_threshold": 0.3}}),
    ],
)
def test_the_config_hash_changes_with_what_can_change_a_picture(
    args: Args, where: tuple[str | int, ...], key: str, value: object
):
    before = hashed(args)
    at(args, where)[key] = value
    assert hashed(args) != before


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        (("models", 0), "name", "other"),
        (("models", 0), "max_queued", 5),
        (POOL, "name", "other"),
        (POOL, "cpus_per_rank", 2),
        (POOL, "autoscaling", {"min_replicas": 2, "max_replicas": 2}),
        ((), "max_attempts", 1),
    ],
)
def test_the_config_hash_stays_where_no_picture_can_change(
    args: Args, where: tuple[str | int, ...], key: str, value: object
):
    before = hashed(args)
    at(args, where)[key] = value
    assert hashed(args) == before


def test_the_config_hash_is_twelve_hex_digits_whatever_the_order_of_keys(args: Args):
    before = hashed(args)
    at(args, ("models", 0, "pools"))[0] = dict(reversed(at(args, POOL).items()))
    assert hashed(args) == before
    assert len(before) == 12
    assert set(before) <= set("0123456789abcdef")


def test_the_config_hash_stays_when_the_same_tiers_are_named_in_another_order(args: Args):
    before = hashed(args)
    at(args, POOL)["tiers"].reverse()
    assert hashed(args) == before


def test_the_two_pools_of_a_model_have_different_hashes(model: ModelConfig):
    cpu, cuda = model.pools
    assert config_hash(model, cpu) != config_hash(model, cuda)


def test_the_hash_changes_with_what_a_tier_really_uses(args: Args):
    pool = args["models"][0]["pools"][0]
    pool["cache_config"] = {"Fn_compute_blocks": 1}
    hashes = set()
    for override in ({}, {"Fn_compute_blocks": 8}, {"Fn_compute_blocks": 2}):
        pool["tiers"] = {"medium": override, "none": {}}
        args["models"][0]["default_tier"] = "medium"
        config = ClusterConfig.model_validate(args)
        hashes.add(config_hash(config.models[0], config.models[0].pools[0]))
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("tiers", "says"),
    [
        ([["none"]], "must be tiers by name"),
        (["none", "none"], "names a tier twice"),
        ("medium", "must be a list of tiers, or a map"),
        ({"none": {"steps_computation_mask": "fast"}}, "takes no step mask"),
        ({"medium": {"cache_config": {}, "compile": True}}, "unknown key compile"),
        ({"medium": {"min_speedup": 0}}, "medium.min_speedup"),
        ({"medium": {"min_psnr": 40}}, "did you mean min_psnr_db?"),
        ({"medium": {"cache_config": {}, "min_sped": 2}}, "did you mean min_speedup?"),
        (
            {"medium": {"cache_config": {"min_speedup": 1.0}, "min_speedup": 2.0}},
            "min_speedup beside cache_config and in it",
        ),
        ({"medium": {}, "none": {"min_speedup": 2.0}}, "no contract"),
    ],
)
def test_tiers_that_make_no_sense_are_refused(args: Args, tiers: object, says: str):
    args["models"][0]["pools"][0]["tiers"] = tiers
    with pytest.raises(ValidationError, match=says):
        ClusterConfig.model_validate(args)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"default_size": "4096x4096"}, "default_size: 4096x4096 is too large"),
        ({"default_steps": 101, "limits": {}}, "default_steps: 101 is more than limits.max_steps"),
    ],
)
def test_defaults_are_within_the_limits(args: Args, model: dict[str, object], says: str):
    args["models"][0] |= model
    with pytest.raises(ValidationError, match=says):
        ClusterConfig.model_validate(args)
