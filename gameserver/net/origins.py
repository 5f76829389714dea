"""From which web pages browsers may connect. Pure.

A browser lets any page open a WebSocket to any server, with the cookies that it has for it (RFC 6455, 10.2), and says
in ``Origin`` which page it was. Programs that are no browsers send none, or whatever they like: this check is for
players who visit a bad page, and no substitute for asking who they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

#: Allows every page.
ANY_ORIGIN: Final = "*"
#: What browsers send for pages from files and sandboxes. Anybody can make such a page.
_NO_ORIGIN: Final = "null"
#: Pages that a developer's own machine serves.
_OWN_MACHINE: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))
_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: str


class OriginPolicy:
    """Decides whether a page may connect.

    Without a list those may that are served by the host that the request names, on any port (the page is often served
    beside the game), and those from the visitor's own machine. With a list only those in it may.

    Args:
        allowed: origins as browsers write them, ``https://game.example``; `ANY_ORIGIN` for all; none for the default.
    Raises:
        ValueError: one is no origin; the text says how to write it.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(_checked(origin) for origin in allowed)

    def admits(self, origin: str | None, host: str, *, encrypted: bool) -> bool:
        """Whether a page of ``origin`` may connect; a client without the field is no browser, and may.

        Args:
            origin: the request's Origin field.
            host: its Host field, which has passed the checks of a request head.
            encrypted: the connection is TLS: a page of the same host that is not encrypted may be anybody's then.
        """
        if origin is None or ANY_ORIGIN in self._allowed:
            return True
        if origin == _NO_ORIGIN:
            return _NO_ORIGIN in self._allowed
        page = _parse(origin)
        if page is None:
            return False
        if self._allowed:
            return page in self._allowed
        if page.host in _OWN_MACHINE:
            return True
        same_host = page.host == re.sub(r":[0-9]+$", "", host).lower()
        return same_host and (page.scheme == "https" or not encrypted)


def _parse(origin: str) -> _Origin | None:
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return None
    scheme = match[1].lower()
    return _Origin(scheme, match[2].lower(), match[3] or _DEFAULT_PORTS[scheme])


def _checked(origin: str) -> _Origin | str:
    if origin in (ANY_ORIGIN, _NO_ORIGIN):
        return origin
    parsed = _parse(origin)
    if parsed is None:
        raise ValueError(
            f"{origin!r} is no origin: write scheme and host as browsers do, https://game.example or "
            f"http://localhost:5173, without a path; * allows every page"
        )
    return parsed
