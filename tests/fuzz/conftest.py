"""Ray warns while it is imported, and warnings are errors in tests: it is imported before them."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ray.serve  # noqa: F401
