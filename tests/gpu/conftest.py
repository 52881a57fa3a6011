"""What the checks share: numbers for the report, a tiny FLUX, and a device left empty."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.families import family_folder

Tell = Callable[..., None]
"""Called with numbers by name: they stand in docs/gpu-checks.md beside the check."""


@pytest.fixture(scope="session", autouse=True)
def _library_warnings() -> None:
    """diffusers, torchao and transformers warn at import, of things that are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cache_dit  # noqa: F401
        import diffusers  # noqa: F401


@pytest.fixture(autouse=True)
def _empty_device() -> None:
    """Nothing of the last check is on the device, nor in the compiler's memory."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()
    torch._dynamo.reset()


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    def note(**numbers: object) -> None:
        for name, value in numbers.items():
            record_property(name.replace("_", " "), value)

    return note


@pytest.fixture(scope="session")
def tiny_flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny FLUX of tests/families."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return family_folder("flux", tmp_path_factory.mktemp("families"))
