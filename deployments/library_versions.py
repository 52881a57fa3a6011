"""The versions of what decides a tier's speed and pictures. Imports none of it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("dit-serve", "torch", "diffusers", "cache-dit", "torchao")


def library_versions() -> dict[str, str]:
    """Version by name; "source" for one that runs from its folder and is not installed."""
    return {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "source"
