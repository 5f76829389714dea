"""Seat tokens: what brings a player to the seat that is kept for it. Pure, but for the source of the tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: Bytes of chance in a token; 16 would do (OWASP asks 128 bits of a session's name).
_TOKEN_BYTES: Final = 24
#: Of an invite code, which people read to each other: no letters and digits that look alike. 40 bits are enough where
#: each guess is a connection, of which an address has 20 a second.
_CODE_LETTERS: Final = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
_CODE_LENGTH: Final = 8


#: What somebody is told whose token gives no seat.
SEAT_IS_GONE: Final = "this seat is gone: join anew"


def make_seat_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def make_invite_code() -> str:
    """A code for a private room."""
    return "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))


class SeatTokens(Generic[T]):
    """Which seats there are tokens for, in one server.

    They are looked up by their SHA-256, so that the time which that takes tells nothing of those that there are.

    Args:
        make_token: makes a token that was never made before.
    """

    def __init__(self, make_token: Callable[[], str] = make_seat_token) -> None:
        self._make_token = make_token
        self._holders: dict[bytes, T] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def issue(self, holder: T) -> str:
        """A new token for ``holder``."""
        token = self._make_token()
        self._holders[_key(token)] = holder
        return token

    def find(self, token: str) -> T | None:
        """Whose token it is; None when it is nobody's, or not any more."""
        return self._holders.get(_key(token))

    def revoke(self, token: str) -> None:
        """The token is of no use from now on; nothing happens when it was of none."""
        self._holders.pop(_key(token), None)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
