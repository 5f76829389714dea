"""JSON as the vectors are written: short things on one line, bytes in hex."""

from __future__ import annotations

import json
from typing import Any, Final

from tools.vectors.topics import Json

LINE: Final = 116


def layout(item: Json, indent: int = 0) -> str:
    """JSON in which whatever fits a line is on one line."""
    flat = json.dumps(item, ensure_ascii=True)
    if len(flat) + indent <= LINE or not isinstance(item, (list, dict)):
        return flat
    pad = " " * (indent + 1)
    if isinstance(item, dict):
        parts = [f"{json.dumps(key)}: {layout(inner, indent + 1)}" for key, inner in item.items()]
    else:
        parts = [layout(inner, indent + 1) for inner in item]
    opening, closing = "{}" if isinstance(item, dict) else "[]"
    return f"{opening}\n{pad}" + f",\n{pad}".join(parts) + f"\n{' ' * indent}{closing}"


def plain(item: Any) -> Json:
    """A decoded value as JSON has it: bytes become ``{"bytes": hex}``, floats get 9 significant digits."""
    if isinstance(item, bytes):
        return {"bytes": item.hex()}
    if isinstance(item, float):
        return float(f"{item:.9g}")
    if isinstance(item, (list, tuple)):
        return [plain(inner) for inner in item]
    if isinstance(item, dict):
        return {key: plain(inner) for key, inner in item.items()}
    return item
