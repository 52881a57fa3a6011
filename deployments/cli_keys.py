"""The commands `dit-serve keys ...`. Heavy imports happen inside."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from cluster.errors import ConfigError
from cluster.key_limits import in_words
from cluster.keys import Scope, id_within, is_id
from cluster.load import load_config
from deployments.terminal import faults_told, out

if TYPE_CHECKING:
    from deployments.key_store import KeyStore

keys = typer.Typer(no_args_is_help=True, help="API keys: adds, lists and revokes them.")

File = Annotated[
    Path | None, typer.Option("--file", help="A file of keys, as auth.keys_file names one.")
]
Config = Annotated[
    Path | None, typer.Option("--config", help="A Serve config file: where its auth keeps keys.")
]

_UNBROKEN = 1000
"""Columns of the list where it is read by a program: one line for each key, nothing left out."""


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="For people: who or what has the key.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            help="generate, if none: pictures and videos; metrics: /metrics; admin: everything."
        ),
    ] = None,
    expires_days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="Works so many days; for ever if none.")
    ] = None,
    limits: Annotated[
        str | None,
        typer.Option(
            metavar="MAPPING",
            help="As key_limits of a config and in its place, such as "
            "'{in_flight: 2, tiers: {none: {requests_per_minute: 10}}}'; {} is no limit.",
        ),
    ] = None,
    file: File = None,
    config: Config = None,
) -> None:
    """Makes a key and prints it, this once: only its id and its SHA-256 are kept.

    The key alone goes to the standard output, what there is to say of it beside.
    """
    from deployments.key_store import new_key

    with faults_told():
        store = _store(file, config)
        now = datetime.now(UTC).replace(microsecond=0)
        expires = None if expires_days is None else now + timedelta(days=expires_days)
        own = None if limits is None else _mapping(limits)
        text, key = new_key(name, sorted(set(scope or [Scope.GENERATE])), now, expires, own)
        store.add(key)
        until = "for ever" if expires is None else f"until {expires:%Y-%m-%d %H:%M} UTC"
        print(
            f"Key {key.id} ({key.name}; {', '.join(key.scopes)}; works {until}) is in "
            f"{store.place}. Running gateways know it within seconds. It is shown this once:",
            file=sys.stderr,
        )
        print(text)


@keys.command("list")
def list_keys(file: File = None, config: Config = None) -> None:
    """Shows the keys: ids, names, scopes and own limits, and whether they work; no secret."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    with faults_told():
        now = datetime.now(UTC)
        own_limits = Column("limits", overflow="fold")
        table = Table("id", "name", "scopes", "created", "expires", own_limits, "state", box=None)
        for key in _store(file, config).read().values():
            expires = "never" if key.expires is None else f"{key.expires:%Y-%m-%d}"
            created = f"{key.created:%Y-%m-%d}"
            own = "the config's" if key.limits is None else in_words(key.limits)
            scopes = ", ".join(key.scopes)
            words = (key.id, key.name, scopes, created, expires, own, key.state(now))
            table.add_row(*map(escape, words))
    (out if out.is_terminal else Console(width=_UNBROKEN)).print(table)


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Its id; the whole key will do.")],
    file: File = None,
    config: Config = None,
) -> None:
    """Stops a key: running gateways refuse it within seconds. What it made stays."""
    with faults_told():
        wanted = id_within(key_id) or key_id
        if not is_id(wanted):
            # Without the value, which may be a part of a key.
            raise ConfigError("ID: that is no id of a key; `dit-serve keys list` shows them")
        store = _store(file, config)
        store.revoke(wanted, datetime.now(UTC))
        print(f"Key {wanted} of {store.place} does not work any more")


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    if not isinstance(value, dict):
        raise ConfigError(f"--limits: must be a mapping such as {{in_flight: 2}}, not {text!r:.60}")
    return value


def _store(file: Path | None, config: Path | None) -> KeyStore:
    from deployments.key_file import KeyFile
    from deployments.key_store import key_store

    if (file is None) == (config is None):
        raise ConfigError("say where the keys are, with --file FILE or with --config FILE")
    if config is None:
        return KeyFile(str(file))
    store = key_store(load_config(config, os.environ))
    if store is None:
        raise ConfigError(f"{config}: auth: is none, so there are no keys")
    return store
