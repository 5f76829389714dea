"""Handlers: what a payload must be, what a room class may declare, and what its author is told when it may not."""

from __future__ import annotations

import enum
import inspect
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameprotocol import pack, unpack_from_client
from gameserver import DeclarationError, Meta
from gameserver.rooms.handlers import Handler, Message, RequestError, find_handlers, handles
from tests.support.examples import examples

if TYPE_CHECKING:
    from gameserver import Player


class Suit(enum.Enum):
    HEARTS = "hearts"


class Buy(Message):
    item: int
    count: Annotated[int, Meta(ge=1, le=99)] = 1
    price: float = 0.0
    note: Annotated[str, Meta(max_length=5)] = ""


class Gift(Message):
    buy: Buy
    weights: dict[str, float] = {}


class Thing:
    """Nothing that msgpack can carry."""


class Wrapper(Message):
    things: list[Thing]


def handler_of(payload_type: Any) -> Handler:
    """The handler of a room whose one method takes payloads of a type."""

    def take(self: Any, player: Any, payload: Any) -> Any:
        return payload

    take.__annotations__["payload"] = payload_type
    return find_handlers(type("Shop", (), {"take": handles("take")(take)}))["take"]


# -- payloads


@pytest.mark.parametrize(
    ("payload_type", "payload", "value"),
    [
        (Buy, {"item": 3}, Buy(item=3)),
        (Buy, {"item": 3, "price": 2, "later version": [1]}, Buy(item=3, price=2.0)),
        (Gift, {"buy": {"item": 3}}, Gift(buy=Buy(item=3))),
        (int, -3, -3),
        (float, 3, 3.0),
        (str, "hi", "hi"),
        (bytes, b"hi", b"hi"),
        (Annotated[str, Meta(max_length=2)], "hi", "hi"),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (tuple[int, int], [1, 2], (1, 2)),
        (Literal["left", "right"], "left", "left"),
        (Suit, "hearts", Suit.HEARTS),
        (int | None, None, None),
        (None, None, None),
        (Any, {"any": [math.inf]}, {"any": [math.inf]}),
        (inspect.Parameter.empty, {"any": 1}, {"any": 1}),
    ],
)
def test_what_fits_is_converted(payload_type: Any, payload: Any, value: Any) -> None:
    converted = handler_of(payload_type).convert(payload)
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("payload_type", "payload", "says"),
    [
        (Buy, {}, "Object missing required field `item`"),
        (Buy, {"item": "3"}, "item: Expected `int`, got `str`"),
        (Buy, {"item": True}, "item: Expected `int`, got `bool`"),
        (Buy, {"item": 3.0}, "item: Expected `int`, got `float`"),
        (Buy, {"item": None}, "item: Expected `int`, got `null`"),
        (Buy, {"item": 1, "count": 0}, "count: Expected `int` >= 1"),
        (Buy, {"item": 1, "note": "123456"}, "note: Expected `str` of length <= 5"),
        (Buy, {"item": 1, "price": math.nan}, "price: Expected a finite `float`"),
        (Buy, {"item": 1, "price": -math.inf}, "price: Expected a finite `float`"),
        (Buy, [3], "Expected `object`, got `array`"),
        (Buy, None, "Expected `object`, got `null`"),
        (Gift, {"buy": {"item": "x"}}, "buy.item: Expected `int`, got `str`"),
        (Gift, {"buy": {"item": 1, "price": math.inf}}, "buy.price: Expected a finite `float`"),
        (Gift, {"buy": {"item": 1}, "weights": {"a": math.nan}}, "weights.a: Expected a finite `float`"),
        (list[float], [1.0, math.nan], "1: Expected a finite `float`"),
        (list[int], [1, "x"], "[1]: Expected `int`, got `str`"),
        (float, math.nan, "Expected a finite `float`"),
        (int, "1", "Expected `int`, got `str`"),
        (str, b"a", "Expected `str`, got `bytes`"),
        (bytes, "aGVsbG8=", "Expected `bytes`, got `str`"),
        (None, 1, "Expected `null`, got `int`"),
        (Suit, "spades", "Invalid enum value 'spades'"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_field_named(payload_type: Any, payload: Any, says: str) -> None:
    with pytest.raises(RequestError) as caught:
        handler_of(payload_type).convert(payload)
    assert (caught.value.code, caught.value.text) == ("invalid", says)


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8)
json_like = st.recursive(
    scalars | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
some_buys = st.fixed_dictionaries(
    {}, optional={"item": json_like, "count": json_like, "price": st.floats() | json_like, "note": json_like}
)


@pytest.mark.slow
@given(json_like | some_buys)
@examples(300)
def test_whatever_comes_is_a_buy_or_refused(payload: Any) -> None:
    """As it comes off the wire; a handler may rely on every annotation, and nothing but a refusal ever comes out."""
    convert = handler_of(Buy).convert
    payload = unpack_from_client(pack([5, "take", payload]))[2]
    try:
        buy = convert(payload)
    except RequestError:
        return
    assert type(buy.item) is int
    assert type(buy.count) is int
    assert 1 <= buy.count <= 99
    assert type(buy.price) is float
    assert math.isfinite(buy.price)
    assert type(buy.note) is str
    assert len(buy.note) <= 5


# -- what a room class may declare


class Shop:
    class Nested(Message):
        item: int

    @handles("buy")
    def buy(self, player: Player, buy: Buy) -> Any:  # Player is imported for type checkers only
        return self, player, buy

    @handles("look")
    @handles("see")
    def look(self, player: Any) -> Any:
        return self, player

    @handles("save")
    async def save(self, player: Any, slot: int) -> Any:
        return self, player, slot

    @handles("leave")
    async def leave(self, player: Any) -> Any:
        return self, player

    @handles("nest")
    def nest(self, player: Any, nested: Nested) -> Any:
        return nested

    def on_message(self, player: Any, kind: str, payload: Any) -> None: ...


def test_handlers_are_found_by_their_kinds() -> None:
    handlers = find_handlers(Shop)
    assert [*handlers] == ["buy", "see", "look", "save", "leave", "nest"]
    assert all(handler.kind == kind for kind, handler in handlers.items())
    assert [kind for kind, handler in handlers.items() if handler.is_async] == ["save", "leave"]
    shop = Shop()
    assert handlers["buy"].function(shop, "Ada", Buy(item=1)) == (shop, "Ada", Buy(item=1))
    assert handlers["nest"].convert({"item": 1}) == Shop.Nested(item=1)


def test_a_handler_without_a_payload_is_called_with_none_of_it() -> None:
    look = find_handlers(Shop)["look"]
    assert look.convert({"whatever": [1]}) is None
    assert look.function("shop", "Ada", look.convert(3)) == ("shop", "Ada")


async def test_async_handlers_are_awaited_with_and_without_a_payload() -> None:
    handlers = find_handlers(Shop)
    assert await handlers["save"].function("shop", "Ada", 3) == ("shop", "Ada", 3)
    assert await handlers["leave"].function("shop", "Ada", None) == ("shop", "Ada")


def test_inherited_handlers_count_and_overridden_ones_once() -> None:
    class Fence(Shop):
        def buy(self, player: Any, buy: Any) -> Any:  # a handler, as the one it overrides
            return "stolen"

        @handles("steal")
        def look(self, player: Any) -> Any: ...

        nest = None  # takes it away

        @handles("hide")
        def hide(self, player: Any) -> None: ...

    handlers = find_handlers(Fence)
    assert [*handlers] == ["buy", "steal", "save", "leave", "hide"]
    assert handlers["buy"].function(Fence(), "Ada", None) == "stolen"
    assert find_handlers(Shop)["buy"].function(Shop(), "Ada", None) != "stolen"


def test_an_override_that_says_nothing_of_its_payload_keeps_the_check() -> None:
    class Fence(Shop):
        def buy(self, player, buy):  # type: ignore[no-untyped-def]  # as authors write
            return buy

    with pytest.raises(RequestError):
        find_handlers(Fence)["buy"].convert({"item": "x"})


def test_a_mixin_brings_its_handlers() -> None:
    class Chat:
        @handles("chat")
        def chat(self, player: Any, text: Annotated[str, Meta(max_length=3)]) -> None: ...

    class Bazaar(Chat, Shop): ...

    assert {"chat", "buy"} <= find_handlers(Bazaar).keys()
    assert find_handlers(object) == {}


def refused(**methods: Any) -> str:
    with pytest.raises(DeclarationError) as caught:
        find_handlers(type("Shop", (), methods))
    return str(caught.value)


def one_parameter(self): ...  # type: ignore[no-untyped-def]


def four_parameters(self, player, payload, more): ...  # type: ignore[no-untyped-def]


def any_number(self, *arguments): ...  # type: ignore[no-untyped-def]


def by_keyword(self, player, *, payload): ...  # type: ignore[no-untyped-def]


def good(self, player, payload): ...  # type: ignore[no-untyped-def]


def generator(self, player):  # type: ignore[no-untyped-def]
    yield


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (one_parameter, "it takes (self, player, payload), or (self, player)"),
        (four_parameters, "it takes (self, player, payload), or (self, player)"),
        (any_number, "it takes (self, player, payload), or (self, player)"),
        (by_keyword, "it takes (self, player, payload), or (self, player)"),
        (generator, "return the answer instead"),
        (staticmethod(good), "must be a plain method"),
        (classmethod(good), "must be a plain method"),
    ],
)
def test_methods_that_cannot_be_handlers(method: Any, says: str) -> None:
    text = refused(buy=handles("buy")(method))
    assert "Shop.buy" in text
    assert says in text


@pytest.mark.parametrize(
    ("payload_type", "says"),
    [
        (Thing, "cannot be a Thing: give a Message class"),
        (list[Thing], "cannot be a Thing"),
        (Wrapper, "cannot be a Thing"),
        (Thing | None, "cannot be a Thing"),
        ("Player", "'Player' is not defined"),
        ("no python at all", "cannot be read"),
        (Annotated[str, Meta(ge=3)], "its payload cannot be checked"),
        (list[int] | set[int], "its payload cannot be checked"),
    ],
)
def test_payload_types_that_nothing_can_be(payload_type: Any, says: str) -> None:
    with pytest.raises(DeclarationError, match=r"Shop\.take") as caught:
        handler_of(payload_type)
    assert says in str(caught.value)


def test_two_handlers_of_one_kind() -> None:
    def other(self: Any, player: Any) -> None: ...

    def buy(self: Any, player: Any) -> None: ...

    text = refused(buy=handles("buy")(buy), purchase=handles("buy")(other))
    assert "Shop.purchase" in text
    assert "as buy does" in text
    assert "same name" in text


def test_names_of_kinds() -> None:
    def method(self: Any, player: Any) -> None: ...

    assert "1 to 64 bytes" in refused(buy=handles("")(method))
    find_handlers(type("Shop", (), {"buy": handles("ä" * 32)(lambda self, player: None)}))
    assert "1 to 64 bytes" in refused(buy=handles("ä" * 32 + "x")(lambda self, player: None))
    with pytest.raises(DeclarationError, match=r'@handles\("method"\)'):
        handles(method)  # type: ignore[arg-type]  # without brackets


def test_a_message_may_hold_itself() -> None:
    node = handler_of(Node).convert({"next": {"next": None}})
    assert node == Node(next=Node())


class Node(Message):
    next: Node | None = None


# -- errors


def test_a_request_error_has_a_code_for_programs_and_a_text_for_people() -> None:
    error = RequestError("sold out", "come back tomorrow")
    assert (error.code, error.text, str(error)) == ("sold out", "come back tomorrow", "sold out: come back tomorrow")
    assert (RequestError("no").text, str(RequestError("no"))) == ("", "no")


@pytest.mark.parametrize("code", ["", "x" * 65, None, 3])
def test_a_code_that_is_none(code: Any) -> None:
    with pytest.raises(TypeError, match="1 to 64 bytes"):
        RequestError(code)


def test_messages_are_maps() -> None:
    assert msgspec.to_builtins(Buy(item=3)) == {"item": 3, "count": 1, "price": 0.0, "note": ""}
    assert not Buy.__struct_config__.gc
