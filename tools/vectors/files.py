"""The files, as they lie in ``protocol/vectors``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from tools.vectors.layout import layout
from tools.vectors.topics import TOPICS

VECTORS: Final = Path(__file__).resolve().parents[2] / "protocol" / "vectors"
MODULES: Final = ("fields", "columns", "ids", "frames", "views", "refused", "schemas", "messages", "recorded")


def write_all(directory: Path = VECTORS) -> None:
    """Write all files into ``directory``."""
    for module in MODULES:
        import_module(f"tools.vectors.{module}")  # each registers its topics
    directory.mkdir(parents=True, exist_ok=True)
    for name, make in TOPICS.items():
        (directory / f"{name}.json").write_text(layout(make()) + "\n", encoding="ascii", newline="\n")
