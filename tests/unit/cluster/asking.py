"""Requests for the sample config's model, settled, or refused with one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.config import ClusterConfig
from cluster.errors import DitServeError
from cluster.job import Job
from cluster.request import parse_request
from cluster.settling import settle

PROMPT = {"prompt": "a red circle"}


def job_for(
    config: ClusterConfig, picture_size: tuple[int, int] | None = None, **fields: Any
) -> Job:
    """The job of a request that has a prompt and these fields; its seed is 7 unless they say."""
    return settle(parse_request(PROMPT | fields), config, "r-1", 7, picture_size)[1]


def refusal(config: ClusterConfig, body: Any) -> DitServeError:
    """Why a body is refused."""
    with pytest.raises(DitServeError) as caught:
        settle(parse_request(body), config, "r-1", seed=7)
    assert "\n" not in caught.value.message
    return caught.value
