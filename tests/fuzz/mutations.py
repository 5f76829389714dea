"""Hypothesis strategies: well-formed inputs with something wrong in them, and plain noise.

Two levels. Bytes are flipped, cut, repeated and overwritten whatever they mean. msgpack is taken apart first, so that
what is wrong sits deep inside something that is otherwise right: a number too large, an array nested too deep, a key
that is there twice, a length that nothing backs.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack
from hypothesis import strategies as st

from tests.fuzz.corpus import messages_in

#: Bytes that mean something to one of the parsers: lengths, headers, extension types, separators.
TOKENS: Final = tuple(
    bytes.fromhex(token)
    for line in (
        "dcffff dc0fff ddffffffff dd00ffffff deffff df7fffffff c4ff c5ffff c6ffffffff d9ff daffff dbffffffff",
        "d4ff00 d6ff00000000 d7ffffffffffffffffff d8010000 c7000c c7ff01 c8ffff00 c1 c0 c2 c3",
        "cfffffffffffffffff d38000000000000000 ceffffffff d2ffffffff cb7ff8000000000000 cb7ff0000000000000",
        "cbfff0000000000000 ca7fc00000 cb7fefffffffffffff 91919191919191191919 8190 81a081a081a081a0c0 82a16101a16102",
        "ff 80 00 fe 7f 82fe1001 82ff7fffffffffffffff 82ffffffffffffffffff 0280 8080 c280 8880 8901 8a00",
        "0d0a0d0a 0d0a 0a 0d 20 09 3a 2c 3b c3a9 e282ac f09f9880 eda080 c080",
    )
    for token in line.split(" ")
)
_DEEPEST: Final = 1500


class Encoded(bytes):
    """Bytes that stand in a tree as they are: already msgpack, or nearly so."""


class Pairs(list[tuple[Any, Any]]):
    """A map whose keys need not be unique."""


def encode(tree: Any) -> bytes:
    """``tree`` as msgpack, well-formed or not."""
    if isinstance(tree, Encoded):
        return bytes(tree)
    if isinstance(tree, (Pairs, dict)):
        pairs = tree if isinstance(tree, Pairs) else [*tree.items()]
        head = bytes([0x80 | len(pairs)]) if len(pairs) < 16 else b"\xde" + len(pairs).to_bytes(2, "big")
        return head + b"".join(encode(key) + encode(value) for key, value in pairs)
    if isinstance(tree, list):
        head = bytes([0x90 | len(tree)]) if len(tree) < 16 else b"\xdc" + len(tree).to_bytes(2, "big")
        return head + b"".join(map(encode, tree))
    packed: bytes = msgpack.packb(tree)
    return packed


_numbers = st.one_of(
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.sampled_from([-1, 0, 1, 127, 128, 255, 256, 65535, 65536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32]),
    st.sampled_from([-(1 << 31), -(1 << 63), (1 << 63) - 1, (1 << 64) - 1]),
    st.floats(),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), -0.0, 5e-324, 1.7e308, 2.0]),
)
_nested = st.builds(
    lambda opening, depth, inner: Encoded(opening * depth + inner),
    st.sampled_from([b"\x91", b"\x81\xa0", b"\xdc\x00\x40", b"\x9f", b"\x93\xc0\xc0"]),
    st.integers(1, _DEEPEST),
    st.sampled_from([b"", b"\xc0", b"\x90"]),
)
#: One value that some reader may not expect.
odd_values: st.SearchStrategy[Any] = st.one_of(
    _numbers,
    st.sampled_from([None, True, False, "", b"", "\0", "x" * 3073, b"x" * 1025, [], {}, [[]], ["\N{PILE OF POO}"]]),
    st.sampled_from(TOKENS).map(Encoded),
    st.text(max_size=8),
    st.binary(max_size=16),
    st.lists(st.integers(0, 300), max_size=70),
    st.lists(st.tuples(st.sampled_from(["a", "name", 1]), _numbers), max_size=3).map(Pairs),
    _nested,
)
_trees: st.SearchStrategy[Any] = st.recursive(
    odd_values,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """One of ``seeds`` with one to four things done to its bytes."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, min(len(data), at + 16)))
        match draw(st.sampled_from(["flip", "overwrite", "insert", "repeat", "cut", "join"])):
            case "flip" if data:
                at = min(at, len(data) - 1)
                data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
            case "overwrite":
                token = draw(st.sampled_from(TOKENS))
                data = data[:at] + token + data[at + len(token) :]
            case "insert":
                data = data[:at] + draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8))) + data[at:]
            case "repeat":
                data = data[:at] + data[at:end] * draw(st.sampled_from([0, 2, 3, 70])) + data[end:]
            case "cut":
                data = data[:at]
            case _:
                data += draw(st.sampled_from(seeds))
    return data


def _places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in ``tree``, its own among them."""
    inner = [*tree.items()] if isinstance(tree, dict) else [*enumerate(tree)] if isinstance(tree, list) else []
    return [path, *(place for key, value in inner for place in _places(value, (*path, key)))]


def _changed(tree: Any, path: tuple[Any, ...], change: Any) -> Any:
    """``tree`` with ``change`` applied to the value at ``path``."""
    if not path:
        return change(tree)
    copy = tree.copy()
    copy[path[0]] = _changed(tree[path[0]], path[1:], change)
    return copy


def _decoded(seed: bytes) -> Any:
    """A seed as a tree; as it is when it is not msgpack of the plain kind."""
    try:
        return msgpack.unpackb(seed, strict_map_key=False, ext_hook=lambda code, data: Encoded(b"\xc1"))
    except Exception:
        return Encoded(seed)


@st.composite
def twisted(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """One of ``seeds``, which are msgpack, with one to three of the values in it changed."""
    tree = _decoded(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_places(tree)))
        tree = _changed(tree, path, lambda value: draw(_twists(value)))
    return encode(tree)


def _twists(value: Any) -> st.SearchStrategy[Any]:
    """Other values in the place of one."""
    choices = [odd_values, st.just([value]), st.just({"k": value})]
    if isinstance(value, bytes) and not isinstance(value, Encoded):
        choices += [damaged([value])] * 3
    if isinstance(value, bool) or value is None:
        choices.append(st.booleans())
    elif isinstance(value, int):
        choices += [st.integers(-2, 2).map(lambda more: max(-(1 << 63), min(value + more, (1 << 64) - 1)))] * 2
    if isinstance(value, list) and value:
        choices += [st.permutations(value), st.integers(0, len(value)).map(lambda end: value[:end])]
        choices += [odd_values.map(lambda more: [*value, more]), st.just(value * 2), st.just(value * 70)]
    if isinstance(value, dict) and value:
        again = st.sampled_from([*value.items()])
        choices += [again.map(lambda pair: Pairs([*value.items(), pair])), st.just({"": 0} | value)]
        choices.append(again.map(lambda pair: {key: item for key, item in value.items() if key != pair[0]}))
    return st.one_of(choices)


def mutated_bytes(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Inputs of a parser of bytes: seeds, damaged seeds, noise."""
    return st.one_of(damaged(seeds), damaged(seeds), st.binary(max_size=200), st.sampled_from(seeds))


def mutated_msgpack(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Inputs of a parser of one msgpack value."""
    return st.one_of(twisted(seeds), twisted(seeds), _trees.map(encode), mutated_bytes(seeds))


def mutated_messages(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Inputs of a reader of several messages (`messages_in`): the seeds' own, some of them mutated."""
    sequences = [messages_in(seed) for seed in seeds]
    single = [message for sequence in sequences for message in sequence if message]
    some = st.lists(st.one_of(st.sampled_from(single), mutated_msgpack(single)), min_size=1, max_size=4)
    begun = st.builds(lambda start, rest: start + rest, st.sampled_from(sequences), some)
    return st.one_of(some, begun).map(
        lambda messages: b"".join(len(one).to_bytes(2, "big") + one for one in messages if len(one) < 1 << 16)
    )
