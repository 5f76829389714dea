"""Which address a connection counts for: the peer's own, or the one that a trusted proxy names. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

#: A home or a server is given a whole IPv6 network of this size, so its addresses count as one.
_HOME_PREFIX_BITS = 64


def parse_networks(given: Iterable[str], setting: str) -> tuple[Network, ...]:
    """Addresses and networks (``10.0.0.0/8``) as they stand in a setting.

    Raises:
        ValueError: one is neither; names the setting and the cure.
    """
    networks = []
    for text in given:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise ValueError(f"{setting}: {error}; write an address such as 10.1.2.3, or 10.0.0.0/8") from None
    return tuple(networks)


def parse_address(text: str) -> Address | None:
    """An address without a port; None when it is none. IPv4 within IPv6 is IPv4; a zone (``%eth0``) is dropped."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of ``networks`` holds ``address``."""
    return any(address in network for network in networks)


def client_address(peer: Address, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> Address:
    """Who the connection comes from.

    The last proxy appends whom it heard it from, so the list is read from its end, as long as the one who says so is
    trusted; what stands before that may be anybody's invention.

    Args:
        peer: whom the kernel names.
        forwarded_for: the values of all ``X-Forwarded-For`` fields, in order.
        trusted: proxies that are believed; none of them means that the fields are not read.
    """
    named = [part.strip() for value in forwarded_for for part in value.split(",")]
    client = peer
    while named and is_within(client, trusted):
        said = parse_address(_without_port(named.pop()))
        if said is None:
            break
        client = said
    return client


def counted_as(address: Address) -> str:
    """The name under which limits for each address count it: an IPv6 address counts with its whole /64."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _HOME_PREFIX_BITS), strict=False))
    return str(address)


def _without_port(text: str) -> str:
    """``1.2.3.4:5`` and ``[::1]:5`` without their ports: some proxies write them."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
