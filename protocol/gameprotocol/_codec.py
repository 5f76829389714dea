"""msgpack within bounds: what comes from a peer is decoded under length and depth limits, without extension types."""

from __future__ import annotations

from typing import Any, NoReturn

import msgpack
import msgspec

from gameprotocol import limits
from gameprotocol.closing import CloseCode, ProtocolError

#: Walks over one value without making anything of it; raises when a length is not backed by bytes. msgpack's own reader
#: believes a length once for each level, and takes memory for it: 80 MiB for 64 KiB of nested arrays.
_walk = msgspec.msgpack.Decoder(msgspec.Raw).decode


def pack(value: Any) -> bytes:
    """``value`` as msgpack; TypeError, ValueError or OverflowError when msgpack has no form for it."""
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def pack_portable(value: Any) -> bytes:
    """``value`` as msgpack that every client can read: no extension types, text as map keys, bounded depth.

    Raises:
        TypeError, ValueError, OverflowError: it holds something else; the text says what.
    """
    _check_portable(value, limits.SERVER_DEPTH)
    return pack(value)


def unpack_from_client(payload: bytes) -> Any:
    """Decode one message of a client within the limits of `gameprotocol.limits`.

    Arrays become lists. Extension types, timestamps among them, are refused.

    Raises:
        ProtocolError: code 1007, whatever is wrong with it.
    """
    try:
        _walk(payload)
        value = msgpack.unpackb(
            payload,
            object_hook=_map_checker(),
            strict_map_key=True,
            max_array_len=limits.CLIENT_ARRAY_ITEMS,
            max_map_len=limits.CLIENT_MAP_ITEMS,
            max_str_len=limits.CLIENT_TEXT_BYTES,
            max_bin_len=limits.CLIENT_BYTES_BYTES,
            max_ext_len=0,
            ext_hook=_refuse_extension,
        )
    except Exception as error:  # the decoder raises half a dozen unrelated types; all mean the same to us
        raise ProtocolError(CloseCode.UNDECODABLE, f"not decodable msgpack: {type(error).__name__}") from None
    if _deeper_than(value, limits.CLIENT_DEPTH):
        raise ProtocolError(CloseCode.UNDECODABLE, f"msgpack nested deeper than {limits.CLIENT_DEPTH}")
    return value


def unpack_from_server(payload: bytes) -> Any:
    """Decode one message of a server. It is bounded by the message's own size: every length is checked against it.

    Raises:
        ProtocolError: code 1007.
    """
    try:
        _walk(payload)
        return msgpack.unpackb(payload, strict_map_key=True, max_ext_len=0, ext_hook=_refuse_extension)
    except Exception as error:
        raise ProtocolError(CloseCode.UNDECODABLE, f"not decodable msgpack: {type(error).__name__}") from None


def _check_portable(value: Any, levels: int) -> None:
    if isinstance(value, (msgpack.ExtType, msgpack.Timestamp)):
        raise TypeError("extension types do not travel")
    if isinstance(value, (dict, list, tuple)) and not levels:
        raise ValueError(f"nested deeper than {limits.SERVER_DEPTH}")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"map keys must be text, not {key!r}")
            _check_portable(item, levels - 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_portable(item, levels - 1)


def _map_checker() -> Any:
    """A hook that looks at each map. There may be so many: an empty one takes a byte to send and 64 to keep. Keys are
    texts: other languages have no others, and an author who relays a payload could not send it.
    """
    left = limits.CLIENT_MAPS

    def check(made: dict[Any, Any]) -> dict[Any, Any]:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError("too many maps")
        if any(type(key) is not str for key in made):
            raise TypeError("a key is no text")
        return made

    return check


def _refuse_extension(code: int, data: bytes) -> NoReturn:
    raise ValueError(f"extension type {code}")


def _deeper_than(value: Any, levels: int) -> bool:
    if isinstance(value, list):
        return levels == 0 or any(_deeper_than(item, levels - 1) for item in value)
    if isinstance(value, dict):
        return levels == 0 or any(_deeper_than(item, levels - 1) for item in value.values())
    return False
