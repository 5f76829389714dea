"""Inputs that broke an invariant, kept as files."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Final

#: Where they are kept.
FOLDER: Final = Path("build/fuzz")


def keep(name: str, data: bytes) -> Path:
    """Write ``data`` to a file of its own and tell which."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


def quiet() -> None:
    """A million refused inputs are no reason for a million warnings."""
    logging.disable(logging.CRITICAL)
