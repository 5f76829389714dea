"""Whom a connection counts for: proxies that are believed, lists that are forged, and networks that are one home."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver.net.addresses import Address, client_address, counted_as, is_within, parse_address, parse_networks
from tests.support.examples import examples

OURS = ["10.0.0.0/8", "127.0.0.1", "fd00::/8"]
PROXY = "10.0.0.1"

#: Who connects, the values of its X-Forwarded-For fields, and whom it counts for.
FORWARDED = [
    # Nobody says anything.
    (PROXY, [], PROXY),
    (PROXY, [""], PROXY),
    (PROXY, [" , "], PROXY),
    # One proxy.
    (PROXY, ["203.0.113.7"], "203.0.113.7"),
    (PROXY, ["  203.0.113.7\t"], "203.0.113.7"),
    (PROXY, ["2001:db8::7"], "2001:db8::7"),
    ("127.0.0.1", ["203.0.113.7"], "203.0.113.7"),
    ("fd00::1", ["203.0.113.7"], "203.0.113.7"),
    # What a client puts in front itself is not read.
    (PROXY, ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
    (PROXY, ["10.0.0.9, 203.0.113.7"], "203.0.113.7"),
    (PROXY, ["127.0.0.1,127.0.0.1,203.0.113.7"], "203.0.113.7"),
    (PROXY, ["6.6.6.6", "203.0.113.7"], "203.0.113.7"),  # some proxies add a field instead
    (PROXY, ["203.0.113.7", "6.6.6.6"], "6.6.6.6"),
    (PROXY, ["garbage, 203.0.113.7"], "203.0.113.7"),
    # Several proxies, all of them ours.
    (PROXY, ["203.0.113.7, 10.0.0.2"], "203.0.113.7"),
    (PROXY, ["203.0.113.7, 10.0.0.2, 10.0.0.3"], "203.0.113.7"),
    (PROXY, ["6.6.6.6, 203.0.113.7", "10.0.0.2"], "203.0.113.7"),
    (PROXY, ["203.0.113.7, fd00::9"], "203.0.113.7"),
    # A proxy that is not ours counts for itself, whatever it says.
    (PROXY, ["203.0.113.7, 198.51.100.1"], "198.51.100.1"),
    (PROXY, ["203.0.113.7, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
    # Somebody within our network.
    (PROXY, ["10.0.0.77"], "10.0.0.77"),
    # A peer that is no proxy of ours is not believed at all.
    ("203.0.113.9", ["6.6.6.6"], "203.0.113.9"),
    ("127.0.0.2", ["6.6.6.6"], "127.0.0.2"),
    ("2001:db8::9", ["10.0.0.1"], "2001:db8::9"),
    # Ports and brackets.
    (PROXY, ["203.0.113.7:49152"], "203.0.113.7"),
    (PROXY, ["[2001:db8::7]:49152"], "2001:db8::7"),
    (PROXY, ["[2001:db8::7]"], "2001:db8::7"),
    (PROXY, ["203.0.113.7:49152, [fd00::2]:80"], "203.0.113.7"),
    (PROXY, ["fe80::1%eth0"], "fe80::1"),
    (PROXY, ["::ffff:203.0.113.7"], "203.0.113.7"),
    (PROXY, ["203.0.113.7, ::ffff:10.0.0.2"], "203.0.113.7"),
    # Garbage where a proxy's word should be: the one who passed it on is as far as we know.
    (PROXY, ["garbage"], PROXY),
    (PROXY, ["unknown"], PROXY),
    (PROXY, ["203.0.113.7, unknown"], PROXY),
    (PROXY, ["203.0.113.7, unknown, 10.0.0.2"], "10.0.0.2"),
    (PROXY, ["203.0.113.7,"], PROXY),
    (PROXY, ["203.0.113.7;"], PROXY),
    (PROXY, ["[203.0.113.7"], "203.0.113.7"),
    (PROXY, ["[]:80"], PROXY),
    (PROXY, ["1.2.3"], PROXY),
    (PROXY, ["1.2.3.4.5"], PROXY),
    (PROXY, ["256.1.1.1"], PROXY),
    (PROXY, ["01.2.3.4"], PROXY),
    (PROXY, ["16909060"], PROXY),
    (PROXY, ["for=203.0.113.7"], PROXY),
    (PROXY, ["http://203.0.113.7"], PROXY),
]


@pytest.mark.parametrize(("peer", "forwarded", "client"), FORWARDED)
def test_whom_a_proxy_speaks_for(peer: str, forwarded: list[str], client: str) -> None:
    networks = parse_networks(OURS, "trusted_proxies")
    assert client_address(_address(peer), forwarded, networks) == _address(client)


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert client_address(_address(PROXY), ["203.0.113.7"], ()) == _address(PROXY)


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(lambda address: _address(str(address)))
INVENTIONS = st.lists(st.one_of(ADDRESSES.map(str), st.text(max_size=20), st.just(PROXY)), max_size=5)


@examples(300)
@given(client=ADDRESSES, invented=INVENTIONS, proxies=st.integers(0, 3))
def test_what_a_client_invents_changes_nothing(client: Address, invented: list[str], proxies: int) -> None:
    """Each proxy appends whom it heard it from; only a client within our own networks could speak for another."""
    networks = parse_networks(OURS, "trusted_proxies")
    if is_within(client, networks):
        return
    chain = [client, *(_address(f"10.0.0.{number}") for number in range(2, 2 + proxies))]
    forwarded = ", ".join([*invented, *(str(address) for address in chain)])
    assert client_address(_address(PROXY), [forwarded], networks) == client


@examples(300)
@given(values=st.lists(st.text(max_size=60), max_size=4))
def test_nothing_raises(values: list[str]) -> None:
    networks = parse_networks(OURS, "trusted_proxies")
    assert client_address(_address(PROXY), values, networks) is not None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::1", "::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("fe80::1%lo", "fe80::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("", None),
        ("1.2.3.4:80", None),
        ("[::1]", None),
        ("localhost", None),
        ("1.2.3.4/8", None),
    ],
)
def test_addresses_as_they_are_written(text: str, address: str | None) -> None:
    assert parse_address(text) == (None if address is None else ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
    ],
)
def test_an_ipv6_network_is_one_home(address: str, name: str) -> None:
    assert counted_as(_address(address)) == name


@pytest.mark.parametrize("wrong", ["proxy.example", "", "10.0.0.1/8", "10.0.0.0/33", "1.2.3.4:80", "*"])
def test_what_is_no_network_is_named_with_setting_and_cure(wrong: str) -> None:
    with pytest.raises(
        ValueError, match=r"^trusted_proxies: .*; write an address such as 10\.1\.2\.3, or 10"
    ) as raised:
        parse_networks(["10.0.0.1", wrong], "trusted_proxies")
    assert wrong in str(raised.value)


def _address(text: str) -> Address:
    address = parse_address(text)
    assert address is not None
    return address
