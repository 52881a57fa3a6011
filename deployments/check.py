"""Checks a whole config file, Serve's keys and ours, without starting Ray."""

from __future__ import annotations

from pathlib import Path

from cluster.config import ClusterConfig
from cluster.errors import ConfigError
from cluster.load import application_args, read_document, validate_args
from deployments.serve_keys import override_faults, serve_faults


def checked_config(path: Path) -> ClusterConfig:
    """The config in a file of which every key is known and every value right.

    Raises:
        ConfigError: one line per fault, each with the file and the path within it.
    """
    document = read_document(path)
    faults = serve_faults(document)
    config: ClusterConfig | None = None
    try:
        where, args = application_args(document, path)
        config = validate_args(args, f"{path}: {where}")
    except ConfigError as error:
        ours = str(error).splitlines()
    else:
        ours = []
        if not faults:
            faults = override_faults(document, config)
    if config is None or faults:
        raise ConfigError("\n".join([*(f"{path}: {fault}" for fault in faults), *ours]))
    return config
