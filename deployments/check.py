"""Checks a whole config file, Serve's keys and ours, without starting Ray."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cluster.config import ClusterConfig
from cluster.environment import read_environment
from cluster.errors import ConfigError
from cluster.load import application_args, application_environment, read_document, validate_args
from cluster.provenance import PoolSettings, cache_settings
from deployments.auth_lines import auth_lines
from deployments.secret_lines import database_lines
from deployments.serve_keys import override_faults, serve_faults
from deployments.tiers_file import table_lines
from deployments.tracing import require_exporter


@dataclass(frozen=True)
class CheckedFile:
    """What a right file says, and where its pools' cache settings come from.

    `tables` has a line per pool of which a tiers table speaks, `secrets` one per secret that the
    cluster must be given, or that stands in the file, `access` those about keys.
    """

    config: ClusterConfig
    settings: tuple[PoolSettings, ...]
    tables: tuple[str, ...]
    secrets: tuple[str, ...]
    access: tuple[str, ...]


def checked_config(path: Path) -> ClusterConfig:
    """The config in a file of which every key is known and every value right.

    Raises:
        ConfigError: one line per fault, each with the file and the path within it, or with the
            environment variable that it stands in.
    """
    return checked_file(path).config


def checked_file(path: Path) -> CheckedFile:
    """The same, with the origin of the cache settings; raises as `checked_config` does."""
    document = read_document(path)
    faults = serve_faults(document)
    checked: CheckedFile | None = None
    try:
        where, args = application_args(document, path)
        environment = application_environment(document, path, os.environ)
        config = validate_args(args, f"{path}: {where}", environment)
        require_exporter(config.tracing, f"{path}: {where}.tracing")
        settings = cache_settings(args, where, read_environment(environment), config)
        tables = tuple(table_lines(config, str(path)))
        secrets = tuple(database_lines(config, application_environment(document, path, {})))
        access = () if faults else tuple(auth_lines(config, document, str(path)))
        checked = CheckedFile(config, settings, tables, secrets, access)
    except ConfigError as error:
        ours = str(error).splitlines()
    else:
        ours = []
        if not faults:
            faults = override_faults(document, config)
    if checked is None or faults:
        raise ConfigError("\n".join([*(f"{path}: {fault}" for fault in faults), *ours]))
    return checked
