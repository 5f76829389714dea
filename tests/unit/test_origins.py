"""From which pages browsers may connect: what each kind of Origin gets, with and without a list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver.net.origins import OriginPolicy
from tests.support.examples import examples

HOST = "game.example:8765"

#: Origin, Host, and whether it is admitted by a server without a list: (on a plain connection, on an encrypted one).
WITHOUT_A_LIST = [
    # No browser.
    (None, HOST, True, True),
    # The same host, on any port; a page that anybody on the way can rewrite is not the host's own.
    ("https://game.example", HOST, True, True),
    ("https://game.example", "game.example", True, True),
    ("https://game.example:3000", HOST, True, True),
    ("http://game.example", HOST, True, False),
    ("http://game.example:8765", HOST, True, False),
    ("https://GAME.Example", HOST, True, True),
    ("HTTPS://game.example", HOST, True, True),
    ("https://game.example", "GAME.EXAMPLE:8765", True, True),
    ("http://192.0.2.1", "192.0.2.1:8765", True, False),
    ("https://[2001:db8::1]:99", "[2001:db8::1]:8765", True, True),
    ("https://[2001:DB8::1]", "[2001:db8::1]", True, True),
    # A developer's own machine, whatever the host.
    ("http://localhost", HOST, True, True),
    ("http://localhost:5173", HOST, True, True),
    ("https://localhost:5173", HOST, True, True),
    ("http://LOCALHOST:5173", HOST, True, True),
    ("http://127.0.0.1:5173", HOST, True, True),
    ("http://[::1]:5173", HOST, True, True),
    # What looks like it.
    ("https://evil.example", HOST, False, False),
    ("https://game.example.evil.example", HOST, False, False),
    ("https://evilgame.example", HOST, False, False),
    ("https://sub.game.example", HOST, False, False),
    ("https://example", HOST, False, False),
    ("https://game.example.", HOST, False, False),
    ("https://game.example@evil.example", HOST, False, False),
    ("https://evil.example@game.example", HOST, False, False),
    ("https://evil.example#game.example", HOST, False, False),
    ("https://evil.example/game.example", HOST, False, False),
    ("https://game.example/", HOST, False, False),
    ("https://game.example/page", HOST, False, False),
    ("https://game.example:", HOST, False, False),
    ("https://game.example:80:80", HOST, False, False),
    ("https://game.example:123456", HOST, False, False),
    ("https://game.example:port", HOST, False, False),
    ("https://game.example https://evil.example", HOST, False, False),
    ("https://game.example, https://evil.example", HOST, False, False),
    ("ws://game.example", HOST, False, False),
    ("file://", HOST, False, False),
    ("chrome-extension://abcdef", HOST, False, False),
    ("game.example", HOST, False, False),
    ("//game.example", HOST, False, False),
    ("null", HOST, False, False),
    ("NULL", HOST, False, False),
    ("", HOST, False, False),
    ("", "", False, False),
    ("https://", "", False, False),
    ("http://localhost.evil.example", HOST, False, False),
    ("http://localhost@evil.example", HOST, False, False),
    ("http://127.0.0.1.evil.example", HOST, False, False),
    ("http://127.0.0.2", HOST, False, False),
    ("http://0.0.0.0", HOST, False, False),
    ("http://[::1", HOST, False, False),
    ("http://::1", HOST, False, False),
    ("https://[2001:db8::2]", "[2001:db8::1]", False, False),
    ("https://g\u00e4me.example", HOST, False, False),
    ("https://game.example\n", HOST, False, False),
]


@pytest.mark.parametrize(("origin", "host", "plain", "encrypted"), WITHOUT_A_LIST)
def test_without_a_list(origin: str | None, host: str, plain: bool, encrypted: bool) -> None:
    policy = OriginPolicy()
    assert policy.admits(origin, host, encrypted=False) is plain
    assert policy.admits(origin, host, encrypted=True) is encrypted


#: The list, the Origin, and whether it is admitted.
WITH_A_LIST = [
    (["https://game.example"], "https://game.example", True),
    (["https://game.example"], "https://game.example:443", True),
    (["https://game.example:443"], "https://game.example", True),
    (["http://game.example"], "http://game.example:80", True),
    (["https://GAME.example"], "https://game.EXAMPLE", True),
    (["https://game.example"], "https://game.example:8443", False),
    (["https://game.example"], "http://game.example", False),
    (["https://game.example:80"], "http://game.example:80", False),
    (["https://game.example"], "https://www.game.example", False),
    (["https://game.example"], None, True),
    (["https://game.example"], "null", False),
    (["https://game.example"], "http://localhost:5173", False),  # a list is the whole list
    (["http://localhost:5173"], "http://localhost:5173", True),
    (["http://localhost:5173"], "http://localhost:5174", False),
    (["http://localhost:5173"], "http://127.0.0.1:5173", False),
    (["https://other.example"], "https://game.example", False),  # not even the host's own
    (["https://a.example", "https://b.example"], "https://b.example", True),
    (["http://[2001:db8::1]:90"], "http://[2001:db8::1]:90", True),
    (["null"], "null", True),
    (["null"], "https://game.example", False),
    (["*"], "https://evil.example", True),
    (["*"], "null", True),
    (["*"], "nonsense", True),
    (["https://game.example", "*"], "https://evil.example", True),
]


@pytest.mark.parametrize(("allowed", "origin", "admitted"), WITH_A_LIST)
@pytest.mark.parametrize("encrypted", [False, True])
def test_with_a_list_only_what_is_in_it(
    allowed: list[str], origin: str | None, admitted: bool, encrypted: bool
) -> None:
    assert OriginPolicy(allowed).admits(origin, HOST, encrypted=encrypted) is admitted


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "game.example",
        "https://game.example/",
        "https://*.game.example",
        "**",
        "ws://game.example",
        "https://game.example:",
        "https://a@game.example",
        " https://game.example",
        "Null",
    ],
)
def test_what_is_no_origin_is_named_with_the_cure(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no origin: write scheme and host") as raised:
        OriginPolicy(["https://game.example", wrong])
    assert repr(wrong) in str(raised.value)


HOSTS = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,12}", fullmatch=True)


@pytest.mark.slow
@examples(300)
@given(host=HOSTS, page=HOSTS, port=st.integers(0, 65535))
def test_pages_of_other_hosts_never_pass(host: str, page: str, port: int) -> None:
    mine = page == host or page in ("localhost", "127.0.0.1")
    assert OriginPolicy().admits(f"https://{page}:{port}", f"{host}:8765", encrypted=True) is mine


@examples(300)
@given(origin=st.text(max_size=40), host=st.text(max_size=40))
def test_nothing_raises(origin: str, host: str) -> None:
    for encrypted in (False, True):
        for policy in (OriginPolicy(), OriginPolicy(["https://game.example"])):
            assert policy.admits(origin, host, encrypted=encrypted) in (False, True)
