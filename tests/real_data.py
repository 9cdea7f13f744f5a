"""Real images for tests: LMCORE_REAL_DATA names their folder, see docs/data.md."""

import os
from pathlib import Path

import pytest


def real_data(name: str) -> Path:
    """A file or folder of the real images; without it the test is skipped."""
    path = Path(os.environ.get("LMCORE_REAL_DATA", "")) / name
    if "LMCORE_REAL_DATA" not in os.environ or not path.exists():
        pytest.skip(f"LMCORE_REAL_DATA names no folder with {name}")
    return path
