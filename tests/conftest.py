"""Options of the whole suite, and which of its tests share a worker."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-docs",
        action="store_true",
        help="write what tests saw into the documents that they hold true",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For `--dist loadgroup`: a module's tests stay together, and all that share the one cluster.

    What modules share is slow to make, and a cluster that two workers start is started twice.
    """
    shared = {item.path for item in items if _uses_the_shared_cluster(item)}
    for item in items:
        group = "the shared cluster" if item.path in shared else item.nodeid.split("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))


def _uses_the_shared_cluster(item: pytest.Item) -> bool:
    """Whether its fixture `server` is that of the session, and not its module's own."""
    return (
        isinstance(item, pytest.Function)
        and "server" in item.fixturenames
        and item.path.parent.name == "serve"
        and not hasattr(item.module, "server")
    )
