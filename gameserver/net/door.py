"""Who may come in, and how many: caps on connections in all and for each address, and from which pages. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from gameserver.allowance import Allowance
from gameserver.net.addresses import Address, client_address, counted_as, is_within, parse_networks
from gameserver.net.limits import Limits
from gameserver.net.origins import OriginPolicy
from gameserver.net.request_head import RefusedRequestError, RequestHead

#: Connections that an address may begin at once, in seconds of its rate.
_BURST_SECONDS: Final = 3.0
#: Addresses that are remembered before those that nobody needs any more are looked for.
_REMEMBERED_ADDRESSES: Final = 1024
#: What a full server asks for: by then somebody may have left.
_FULL_RETRY_SECONDS: Final = 5.0
#: This machine: bots, load tests, and proxies that nobody named would all count as one player's address.
_OWN_MACHINE: Final = ("127.0.0.1", "::1")


class _Guests:
    """What is known of one address: how many connections it has, and how many it may begin."""

    __slots__ = ("arrivals", "connections")

    def __init__(self, limits: Limits, now: float) -> None:
        rate = limits.connects_per_second_per_address
        self.connections = 0
        self.arrivals = Allowance(max(1.0, rate * _BURST_SECONDS), rate, now)


class Visitor:
    """One connection as the door counts it.

    Attributes:
        address: who it comes from; None inside this process.
    """

    __slots__ = ("_counted_as", "address")

    def __init__(self, address: Address | None) -> None:
        self.address = address
        self._counted_as: str | None = None

    @property
    def counted_as(self) -> str | None:
        """The name under which limits for each address count it; None when it counts for none: it is of this machine,
        or a proxy that names nobody.
        """
        return self._counted_as


class Door:
    """Counts who is inside and decides who may come in. Time is in the seconds of the caller's clock.

    Args:
        limits: what may come in.
        most_connections: at once, in all.
        origins: pages that may connect; see `OriginPolicy`.
        trusted_proxies: addresses or networks whose ``X-Forwarded-For`` is believed.
        encrypted: connections are TLS.
        unlimited: addresses without a limit of their own.
    Raises:
        ValueError: an origin or a proxy is malformed.

    Attributes:
        connections: how many are inside.
        closed_for_seconds: new players are refused and told to come back after so long; None while it is open.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        most_connections: int,
        origins: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
        encrypted: bool = False,
        unlimited: Iterable[str] = _OWN_MACHINE,
    ) -> None:
        self.connections = 0
        self.closed_for_seconds: float | None = None
        self._limits = limits
        self._most = most_connections
        self._origins = OriginPolicy(origins)
        self._proxies = parse_networks(trusted_proxies, "trusted_proxies")
        self._unlimited = parse_networks(unlimited, "unlimited")
        self._encrypted = encrypted
        self._guests: dict[str, _Guests] = {}
        self._forget_at = _REMEMBERED_ADDRESSES

    def enter(self, peer: Address | None, now: float) -> Visitor:
        """A connection was accepted; `leave` must follow.

        Args:
            peer: whom the kernel names; None for a connection inside this process, which no limit is for.
        Raises:
            RefusedRequestError: 503 when the server is full, 429 when the address has too many; it does not count
                then, and `leave` must not follow.
        """
        visitor = Visitor(peer)
        if peer is None:
            self.connections += 1
            return visitor
        if self.connections >= self._most:
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE, "The server is full.", retry_after_seconds=_FULL_RETRY_SECONDS
            )
        if not is_within(peer, self._proxies):
            self._count(visitor, now)
        self.connections += 1
        return visitor

    def identify(self, visitor: Visitor, head: RequestHead, now: float) -> None:
        """The request has come: find out whom a proxy speaks for, and count that address.

        Raises:
            RefusedRequestError: 429 when that address has too many connections, 403 for a page that may not connect,
                503 while the door is closed.
        """
        self._check_open()
        self._count_client(visitor, head, now)
        self._check_origin(head)

    def look_in(self, visitor: Visitor, head: RequestHead, now: float) -> None:
        """A request has come that asks for no WebSocket: find out whom a proxy speaks for, and count that address.

        What only looks is not refused: health checks come while the server drains, and a page that may not connect is
        shown nothing by its browser (see `admits`).

        Raises:
            RefusedRequestError: 429 when that address has too many connections; of a POST 503 while the door is closed;
                of all but GET and HEAD 403 for a page that may not connect.
        """
        self._count_client(visitor, head, now)
        if head.method not in ("GET", "HEAD"):
            self._check_origin(head)
        if head.method == "POST":
            self._check_open()

    def admits(self, head: RequestHead) -> bool:
        """Whether the page that a request comes from, if it does, may connect."""
        return self._origins.admits(head.field("origin"), head.field("host") or "", encrypted=self._encrypted)

    def leave(self, visitor: Visitor) -> None:
        """The connection is over."""
        self.connections -= 1
        if visitor._counted_as is not None:
            self._guests[visitor._counted_as].connections -= 1

    def _check_open(self) -> None:
        if self.closed_for_seconds is not None:
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The server restarts.",
                retry_after_seconds=self.closed_for_seconds,
            )

    def _check_origin(self, head: RequestHead) -> None:
        if not self.admits(head):
            raise RefusedRequestError(
                HTTPStatus.FORBIDDEN, "Pages of this origin may not connect; the setting origins names those that may."
            )

    def _count_client(self, visitor: Visitor, head: RequestHead, now: float) -> None:
        """Count the address that a trusted proxy names, in place of the proxy's."""
        peer = visitor.address
        if peer is not None and self._proxies and is_within(peer, self._proxies):
            visitor.address = client_address(peer, head.fields("x-forwarded-for"), self._proxies)
            if visitor.address != peer:
                self._count(visitor, now)

    def _count(self, visitor: Visitor, now: float) -> None:
        address = visitor.address
        if address is None or is_within(address, self._unlimited):
            return
        name = counted_as(address)
        guests = self._guests.get(name)
        if guests is None:
            if len(self._guests) >= self._forget_at:
                self._forget_strangers(now)
            guests = self._guests[name] = _Guests(self._limits, now)
        if guests.connections >= self._limits.connections_per_address:
            raise RefusedRequestError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many connections from this address.",
                retry_after_seconds=_FULL_RETRY_SECONDS,
            )
        if not guests.arrivals.take(now):
            raise RefusedRequestError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many new connections from this address.",
                retry_after_seconds=guests.arrivals.wait_seconds(now),
            )
        guests.connections += 1
        visitor._counted_as = name

    def _forget_strangers(self, now: float) -> None:
        """Forget addresses that have no connection and have begun none for a while: they would be as new."""
        self._guests = {
            name: guests
            for name, guests in self._guests.items()
            if guests.connections or not guests.arrivals.is_full(now)
        }
        self._forget_at = max(_REMEMBERED_ADDRESSES, 2 * len(self._guests))
