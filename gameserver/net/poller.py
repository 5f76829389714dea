"""Which of a room's links have something, asked once a tick."""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from gameserver.net.link import Link

T = TypeVar("T")

#: Above this share of links with news a tick, asking which ones have some costs more than trying all: `selectors` over
#: epoll takes about 1.2 us for each ready link, and shows them in the order of arrival; a read that finds nothing takes
#: about 2 us, and trying all goes through memory in the order in which it was laid out. Measured with 1000 links.
_TRY_ALL_ABOVE: Final = 0.75
#: Below this share it asks again; apart from the other, so that it does not change its mind in every tick.
_ASK_BELOW: Final = 0.6


class Poller(Generic[T]):
    """Watches the links of one room; a ``Watcher``.

    While most links have something in every tick, it names them all and lets ``receive`` find out. Otherwise one
    ``select(0)`` a tick tells which ones have, and costs nothing for those that have not. Links whose news the socket
    cannot show (frames that were held back, a close) are added to the answer.

    Args:
        on_wake: is called when a link has news that its socket does not show, for an owner who may sleep.
    """

    __slots__ = ("_awake", "_closed", "_links", "_on_wake", "_select", "_selector", "_try_all")

    def __init__(self, on_wake: Callable[[], None] | None = None) -> None:
        self._on_wake = on_wake
        self._selector = selectors.DefaultSelector()
        self._select = self._selector.select
        self._links: dict[Link, T] = {}  # in the order of joining
        self._awake: list[Link] = []
        self._closed: list[Link] = []
        self._try_all = False

    def fileno(self) -> int:
        """A descriptor that is readable while a socket of a link is, for whoever sleeps meanwhile.

        Raises:
            OSError: this system's selectors have none (Windows).
        """
        descriptor = getattr(self._selector, "fileno", None)
        if descriptor is None:
            raise OSError("this system cannot wait for many sockets at once")
        return int(descriptor())

    @property
    def has_closed(self) -> bool:
        """Whether `take_closed` has something."""
        return bool(self._closed)

    def __len__(self) -> int:
        return len(self._links)

    def add(self, link: Link, owner: T) -> None:
        """Watch ``link``, which no other poller watches; one that closed meanwhile is shown by the next ``poll``.

        Args:
            owner: what ``poll`` gives along with the link.
        """
        link.attach(self)
        self._links[link] = owner
        if not link.closed:
            self._selector.register(link.fileno(), selectors.EVENT_READ, link)
        if link.has_news:
            self._awake.append(link)
        if link.closed:
            self._closed.append(link)

    def remove(self, link: Link) -> None:
        """Stop watching ``link``, so that another poller may; no matter whether it is watched or closed."""
        link.detach()
        self._unregister(link)
        self._links.pop(link, None)
        for shown in (self._awake, self._closed):
            while link in shown:  # twice, when it was woken and then closed
                shown.remove(link)

    def poll(self) -> list[tuple[Link, T]]:
        """The links to ``receive`` from now, and their owners. A link that has closed is shown a last time."""
        if self._try_all:
            self._awake.clear()
            return list(self._links.items())
        links: list[Link] = [key.data for key, _ in self._select(0)]
        if self._awake:
            links = list(dict.fromkeys(links + self._awake))
            self._awake = []
        return [(link, self._links[link]) for link in links]

    def take_closed(self) -> list[tuple[Link, T]]:
        """The links that have closed since the last call, to be removed when what they brought has been received."""
        closed, self._closed = self._closed, []
        return [(link, self._links[link]) for link in closed if link in self._links]

    def note(self, with_news: int) -> None:
        """Say from how many links the last ``poll`` led to a message; it decides how the next one goes about it."""
        share = with_news / max(len(self._links), 1)
        self._try_all = share > (_ASK_BELOW if self._try_all else _TRY_ALL_ABOVE)

    def wake(self, link: Link) -> None:
        """See ``Watcher``."""
        self._awake.append(link)
        if self._on_wake is not None:
            self._on_wake()

    def release(self, link: Link) -> None:
        """See ``Watcher``. The descriptor may be another connection's soon, so it is let go of here and not later."""
        self._unregister(link)
        self._awake.append(link)
        self._closed.append(link)
        if self._on_wake is not None:
            self._on_wake()

    def close(self) -> None:
        """Free the selector; the links stay as they are."""
        self._selector.close()

    def _unregister(self, link: Link) -> None:
        try:
            self._selector.unregister(link.fileno())
        except (KeyError, ValueError):
            pass  # not watched, or its socket is closed already
