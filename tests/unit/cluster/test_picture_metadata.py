"""What a file says of how it was made."""

from __future__ import annotations

from dataclasses import replace

from cluster.job import SEED_MAX
from cluster.picture_metadata import picture_metadata
from cluster.tiers import Tier
from tests.unit.cluster.jobs import job

MADE = job(seed=7, num_inference_steps=28)


def test_none_says_nothing() -> None:
    assert picture_metadata(MADE, Tier.FAST, 0, "none") == {}


def test_settings_say_what_decides_the_picture() -> None:
    assert picture_metadata(MADE, Tier.FAST, 2, "settings") == {
        "model": MADE.model,
        "tier": "fast",
        "seed": "9",
        "num_inference_steps": "28",
    }


def test_all_says_whose_picture_it_is_as_well() -> None:
    found = picture_metadata(MADE, Tier.FAST, 0, "all")
    assert found["request_id"] == MADE.request_id
    assert found.items() > picture_metadata(MADE, Tier.FAST, 0, "settings").items()


def test_the_same_request_says_the_same_under_another_id_at_settings() -> None:
    again = replace(MADE, request_id="another", attempt=2)
    assert picture_metadata(again, Tier.FAST, 0, "settings") == picture_metadata(
        MADE, Tier.FAST, 0, "settings"
    )


def test_the_seed_is_the_one_that_makes_this_picture_alone() -> None:
    last = replace(MADE, seed=SEED_MAX)
    assert picture_metadata(last, Tier.NONE, 1, "settings")["seed"] == "0"
