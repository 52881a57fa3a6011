"""Makes the libraries below the engine say only what went wrong, for commands that people watch."""

from __future__ import annotations

import logging
import os

_CHATTY = ("torchao", "torch.utils._pytree")


def quiet_libraries() -> None:
    """Call it before torch, diffusers and cache-dit are imported: they read this at import."""
    os.environ.setdefault("CACHE_DIT_LOG_LEVEL", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)


def hide_loading_bars() -> None:
    """Call it after the imports: hides the bars that show while a pipeline loads."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
