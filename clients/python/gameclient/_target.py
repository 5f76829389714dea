"""Where a room is: a WebSocket URL, or an address inside this process, and how a host's name becomes addresses."""

from __future__ import annotations

import socket
import threading
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable
from urllib.parse import quote, urlsplit

#: One way to reach a host: family, type, protocol and address, as ``socket.getaddrinfo`` gives them.
Address: TypeAlias = tuple[int, int, int, Any]

_PORTS: Final = {"ws": 80, "wss": 443}
#: What may stand in a path and a query as it is (RFC 3986, 3.3 and 3.4); everything else is percent-encoded.
_PATH_SAFE: Final = "/%:@!$&'()*+,;=-._~"


@runtime_checkable
class LocalTarget(Protocol):
    """A room inside this process, such as what ``server.local()`` gives."""

    @property
    def path(self) -> str:
        """The room's path, as in a URL."""

    def open_socket(self) -> socket.socket:
        """A connected stream socket whose other end is served."""


#: What a room may be named by: ``ws://host:port/room``, ``wss://...``, or a `LocalTarget`.
TargetLike: TypeAlias = str | LocalTarget


class Endpoint(NamedTuple):
    """A target taken apart.

    Attributes:
        host: name or number, without brackets. port: 1 to 65535, 0 for a local target.
        path: the request target, with its query. tls: whether the connection is encrypted.
    """

    host: str
    port: int
    path: str
    tls: bool

    @property
    def authority(self) -> str:
        """Host and port as they stand in the Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = not self.port or self.port == _PORTS["wss" if self.tls else "ws"]
        return host if default else f"{host}:{self.port}"


def parse_target(target: TargetLike) -> Endpoint:
    """Take a target apart.

    Raises:
        ValueError: it is no WebSocket URL; the text says how to write one.
    """
    if not isinstance(target, str):
        return Endpoint("localhost", 0, target.path, False)
    try:
        parts = urlsplit(target)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{target!r} is no URL: {error}") from None
    if parts.scheme not in _PORTS or not host:
        raise ValueError(f"{target!r} is no WebSocket URL: write ws://host:port/room, or wss://host/room with TLS")
    path = quote(parts.path or "/", safe=_PATH_SAFE)
    if parts.query:
        path += "?" + quote(parts.query, safe=_PATH_SAFE + "?")
    return Endpoint(host, port or _PORTS[parts.scheme], path, parts.scheme == "wss")


def numeric_addresses(host: str, port: int) -> list[Address] | None:
    """The addresses of a host that is given as a number, at once; None when its name must be looked up."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return to_addresses(found)


def to_addresses(found: Any) -> list[Address]:
    """What ``getaddrinfo`` found, without the names that nobody needs."""
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]


class Lookup:
    """A look-up of a host's name in a thread of its own, because the system's resolver may block for many seconds.

    Attributes:
        done: whether it has ended; ``addresses`` or ``failure`` then says how.
        addresses: what was found.
        failure: why nothing was found, in words; empty if something was.
    """

    def __init__(self, host: str, port: int) -> None:
        self.done = False
        self.addresses: list[Address] = []
        self.failure = ""
        threading.Thread(target=self._run, args=(host, port), name=f"look up {host}", daemon=True).start()

    def _run(self, host: str, port: int) -> None:
        try:
            self.addresses = to_addresses(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            self.failure = lookup_failure(host, error)
        self.done = True


def lookup_failure(host: str, error: Exception) -> str:
    """Why a name led nowhere, and what to do."""
    return f"no address is known for {host!r} ({error}): check the host's name and the network"
