"""What can go wrong for a program that plays.

ClientError
    ConnectError        the room could not be joined; also a ConnectionError
    DisconnectedError   the connection ended while playing; also a ConnectionError
    InputError          send_input was given what the room's input does not take; also a ValueError
    RequestFailedError  the room answered a request with no
    RequestTimeoutError the room did not answer a request in time; also a TimeoutError
"""

from __future__ import annotations

from gameprotocol.closing import reconnect_seconds


class ClientError(Exception):
    """Root of this package's errors."""


class _EndedError(ClientError, ConnectionError):
    """A connection that is no more.

    Attributes:
        code: the WebSocket close code (`gameprotocol.CloseCode`), 1006 when there was no closing handshake.
        reason: why, in words; partly the server's, so do not trust it with anything but being shown.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code
        self.reason = reason

    @property
    def reconnect_seconds(self) -> float | None:
        """When to come back, as the server says: it restarts, or cannot do better now. None when it says nothing."""
        return reconnect_seconds(self.code, self.reason)


class ConnectError(_EndedError):
    """The room could not be joined; the text says what the server answered and what to do."""


class DisconnectedError(_EndedError):
    """The connection has ended."""


class InputError(ClientError, ValueError):
    """A value that the room's input does not take; the text names the field and what it takes."""


class RequestFailedError(ClientError):
    """The room answered a request with no.

    Attributes:
        code: a word for programs. The game's own, or the server's: "unknown" (no such request), "invalid" (the payload
            does not fit, the reason names the field), "spectator" (spectators only watch), "failed".
        reason: why, in words that may be shown to the player; empty when the room gave none.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{reason} ({code})" if reason else code)
        self.code = code
        self.reason = reason


class RequestTimeoutError(ClientError, TimeoutError):
    """The room did not answer a request in time. It may do what was asked for all the same.

    Attributes:
        kind: the request's name.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(f"request {kind!r} was not answered in time")
        self.kind = kind
