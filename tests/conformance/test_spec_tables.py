"""The tables of SPEC.md say what the code says: kinds, keys, field kinds, limits, close codes."""

from __future__ import annotations

import math
import re
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gameprotocol import (
    CloseCode,
    Hello,
    InputField,
    InputHeader,
    InputSchema,
    Kind,
    Returned,
    Schema,
    TableSchema,
    Welcome,
    limits,
)
from gameprotocol import _fields as kinds
from gameprotocol._messages import SUBPROTOCOL, FrameHeader, JoinMethod
from gameserver.net import Limits, bounds
from gameserver.rooms import metadata
from gameserver.rooms.house import RESERVATION_SECONDS
from gameserver.rooms.room import EVENT_RATE
from gameserver.rooms.seats import make_invite_code
from gameserver.world.publish import history_ticks

ROOT = Path(__file__).resolve().parents[2]
SPEC = (ROOT / "protocol" / "SPEC.md").read_text()
FIELD_KINDS = "| kind | parameters | integers | value of integer n | differences |"


def tables(header: str) -> list[list[list[str]]]:
    """The rows of every table with this header line."""
    found = []
    for part in SPEC.split("\n" + header + "\n")[1:]:
        lines = part.splitlines()[1:]
        end = next((at for at, line in enumerate(lines) if not line.startswith("|")), len(lines))
        found.append([[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:end]])
    return found


def one_table(header: str) -> list[list[str]]:
    (found,) = tables(header)
    return found


def keys(rows: list[list[str]]) -> list[str]:
    """The names in the first cells; one cell may hold several."""
    return [name for row in rows for name in re.findall(r"\w+", row[0])]


def defaults(rows: list[list[str]]) -> dict[str, str]:
    return {name: row[2].strip("`") for row in rows for name in re.findall(r"\w+", row[0])}


def struct_defaults(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Field names and defaults of a struct, in the words of SPEC.md."""
    found = {}
    for field in msgspec.structs.fields(struct):
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        found[field.name] = "required" if default is msgspec.NODEFAULT else in_words(default)
    return found


def in_words(default: Any) -> str:
    """A default as the tables write it."""
    if default is None:
        return "nil"
    return "false" if default is False else f'"{default}"' if isinstance(default, str) else str(default)


def test_kinds() -> None:
    rows = one_table("| kind | name | from | items behind the kind |")
    assert {row[1]: int(row[0]) for row in rows} == {kind.name: kind.value for kind in Kind}


def test_close_codes() -> None:
    rows = one_table("| code | name | when | try again? |")
    assert {row[1]: int(row[0]) for row in rows} == {code.name: code.value for code in CloseCode}


@pytest.mark.parametrize(("index", "module", "all_of_it"), [(0, limits, True), (1, bounds, False)])
def test_limits(index: int, module: Any, all_of_it: bool) -> None:
    rows = tables("| name | value | unit and meaning |")[index]
    told = {row[0].strip("`"): float(row[1]) for row in rows}
    assert told == {name: float(getattr(module, name)) for name in told}
    if all_of_it:
        assert set(told) == {name for name in vars(module) if name.isupper()}


@pytest.mark.parametrize(
    ("index", "struct"),
    [(0, Hello), (1, Welcome), (2, Returned), (3, TableSchema), (4, InputSchema)],
)
def test_keys_of_maps(index: int, struct: type[msgspec.Struct]) -> None:
    assert defaults(tables("| key | type | default | meaning |")[index]) == struct_defaults(struct)


def test_methods_of_joining() -> None:
    rows = one_table("| `method` | the room | when there is none |")
    assert {row[0].strip("`") for row in rows} == set(typing.get_args(JoinMethod))


def test_operators_of_filters() -> None:
    rows = one_table("| in the filter | holds when the value |")
    told = {operator for row in rows for operator in re.findall(r'"(\w+)":', row[0])}
    assert told | {"eq"} == set(metadata._OPERATORS)
    assert f"at most {metadata.FILTER_CHOICES}" in str(rows)


def test_figures_of_joining_and_returning() -> None:
    text = " ".join(SPEC.split())  # lines may break anywhere
    assert f"at most {EVENT_RATE:.0f} times a second" in text
    assert f"its invite code finds it: {len(make_invite_code())} capital letters" in text.lower()
    assert f"Text has at most {metadata.METADATA_TEXT_CHARACTERS} characters" in text
    assert f"lapses after about {RESERVATION_SECONDS:.0f} seconds" in text
    assert f"up to {limits.MESSAGE_QUEUE_BYTES} bytes; when it is more the seat is gone" in text
    assert f"at most {history_ticks(math.inf)}." in text
    told = re.search(r"beside one message in each tick (\d+) messages and (\d+) bytes a second", text)
    assert told is not None
    assert (float(told[1]), float(told[2])) == (Limits().messages_per_second, Limits().bytes_per_second)


def test_every_section_that_is_named_is_there() -> None:
    headings = set(re.findall(r"^##+ (\d+(?:\.\d+)?)\.? ", SPEC, re.MULTILINE))
    assert set(re.findall(r"[Ss]ections? (\d+(?:\.\d+)?)", SPEC)) <= headings


def test_keys_of_the_schema() -> None:
    assert keys(one_table("| key | type | meaning |")) == [field.name for field in msgspec.structs.fields(Schema)]


def test_keys_of_input_fields() -> None:
    rows = one_table("| key of an input field | type | default | meaning |")
    assert keys(rows) == [field.name for field in msgspec.structs.fields(InputField)]


def test_items_of_headers() -> None:
    given, found = (keys(rows) for rows in tables("| item of the header | type | default | meaning |"))
    assert given == [field.name for field in msgspec.structs.fields(InputHeader)]
    assert found == [field.name for field in msgspec.structs.fields(FrameHeader)]


def test_field_kinds() -> None:
    rows = one_table(FIELD_KINDS)
    known = {kind.__struct_config__.tag: kind for kind in typing.get_args(kinds.AnyField)}
    assert [row[0].strip("`") for row in rows] == list(known)
    for tag, parameters, _, _, differences in rows:
        kind = known[tag.strip("`")]
        assert re.findall(r"`(\w+)`", parameters) == [f.name for f in msgspec.structs.fields(kind) if f.name != "name"]
        assert differences.startswith("yes" if kind.takes_differences else "no"), tag


def test_ranges_of_integers() -> None:
    ranges = {row[0].strip("`"): row[2] for row in one_table(FIELD_KINDS)}
    assert ranges["reference"] == f"0 to {kinds.Reference(name='r', table=0).highest}"
    assert ranges["owner"] == f"0 to {kinds.Owner(name='o').highest}"
    assert ranges["bool"] == f"0 to {kinds.Bool(name='b').highest}"


def test_sections_are_numbered_and_linked() -> None:
    headings = re.findall(r"^## ((\d+)\. .*)$", SPEC, re.MULTILINE)
    assert [int(number) for _, number in headings] == list(range(1, len(headings) + 1))
    for heading, number in headings:
        anchor = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        assert f"{number}. [{heading.partition(' ')[2]}](#{anchor})" in SPEC


def test_no_line_is_long() -> None:
    assert [number for number, line in enumerate(SPEC.splitlines(), 1) if len(line) > 120] == []


def test_the_subprotocol_is_the_codes() -> None:
    assert f"version `{SUBPROTOCOL}`" in SPEC.splitlines()[0]
    assert set(re.findall(r"tickwire\.\d+", SPEC)) <= {SUBPROTOCOL, "tickwire.2"}


def test_every_vector_file_is_in_the_readme() -> None:
    readme = (ROOT / "protocol" / "vectors" / "README.md").read_text()
    assert {path.stem for path in (ROOT / "protocol" / "vectors").glob("*.json")} == set(
        re.findall(r"^\| `([\w-]+)\.json` \|", readme, re.MULTILINE)
    )
