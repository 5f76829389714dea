"""Schemas that must be refused."""

from __future__ import annotations

from typing import Any, Final

from tools.vectors.building import field, table
from tools.vectors.topics import Json, topic

_BAD_BITS: Final = [
    *(("uint", bits) for bits in (-1, 0, 33, 8.5)),
    *(("int", bits) for bits in (0, 1, 33)),
    *(("angle", bits) for bits in (0, 3, 17)),
]
_NO_MAIN: Final = (-1, 1, 2, 0.5, True, "T")
_OBJECTS: Final = ("text", "bytes", "value")
_FIXED: Final[dict[str, Any]] = {"low": 0.0, "step": 1.0, "count": 5}
_BAD_FIXED: Final = [
    *(("count", count) for count in (-1, 0, 1, 2**32 + 1, 5.5)),
    *(("step", step) for step in (0.0, -1.0)),
    ("low", "0"),
]


def one(kind: str, **parameters: Any) -> Json:
    """A schema whose only field is of this kind."""
    return {"tables": [table("T", field(kind, "f", **parameters))]}


@topic("refused-schemas")
def refused_schemas() -> Json:
    """Schemas that no client can play by."""
    uint8 = field("uint", "n", bits=8)
    cases: list[tuple[str, Json]] = [
        ("no tables", {"input": None}),
        ("tables that are a map", {"tables": {}}),
        ("a table without a name", {"tables": [{"fields": [uint8]}]}),
        ("a table without fields", {"tables": [{"name": "T"}]}),
        ("a name that is a number", {"tables": [{"name": 1, "fields": []}]}),
        ("single that is a number", {"tables": [{"name": "T", "fields": [], "single": 1}]}),
        ("a field without a kind", {"tables": [table("T", {"name": "n"})]}),
        ("a field of an unknown kind", {"tables": [table("T", field("quaternion", "q", bits=8))]}),
        ("a field without a name", {"tables": [table("T", {"kind": "bool"})]}),
        ("a uint without bits", {"tables": [table("T", field("uint", "n"))]}),
        ("bits that are text", {"tables": [table("T", field("uint", "n", bits="8"))]}),
        ("a fixed without a step", {"tables": [table("T", field("fixed", "x", low=0.0, count=5))]}),
        ("a text without max_bytes", {"tables": [table("T", field("text", "t"))]}),
        ("a reference to a table that is not there", {"tables": [table("T", field("reference", "r", table=1))]}),
        ("a reference to a negative table", {"tables": [table("T", field("reference", "r", table=-1))]}),
        *((f"a companion of table {of}", {"tables": [table("T"), table("C", uint8) | {"of": of}]}) for of in _NO_MAIN),
        ("a companion of a companion", {"tables": [table("T"), *(table(f"T@{of}") | {"of": of} for of in (0, 1))]}),
        ("a companion that is single", {"tables": [table("T"), table("T@a", uint8, single=True) | {"of": 0}]}),
        ("two fields of one name", {"tables": [table("T", uint8, field("bool", "n"))]}),
        (
            "a private field of a name that the table has",
            {"tables": [table("T", uint8), table("C", uint8) | {"of": 0}]},
        ),
        (
            "two private fields of one name, for two audiences",
            {"tables": [table("T"), table("T@a", uint8) | {"of": 0}, table("T@b", uint8) | {"of": 0}]},
        ),
        (
            "a reference to a companion",
            {"tables": [table("T", field("reference", "r", table=1)), table("T@a", uint8) | {"of": 0}]},
        ),
        *((f"{kind} of {bits} bits", one(kind, bits=bits)) for kind, bits in _BAD_BITS),
        *((f"{kind} of {size} bytes", one(kind, max_bytes=size)) for kind in _OBJECTS for size in (-1, 0, 65536)),
        *((f"a fixed whose {name} is {given}", one("fixed", **_FIXED | {name: given})) for name, given in _BAD_FIXED),
        ("an input without fields", {"tables": [], "input": {"name": "Steer"}}),
        ("an input whose per_tick is text", {"tables": [], "input": {"name": "S", "fields": [], "per_tick": "1"}}),
        ("an input whose missing is a number", {"tables": [], "input": {"name": "S", "fields": [], "missing": 0}}),
    ]
    return {
        "description": "Schemas that a client must refuse.",
        "suite": "schemas",
        "cases": [{"note": note, "schema": schema} for note, schema in cases],
    }
