"""Which of a room's links have something, asked once a tick."""

from __future__ import annotations

import selectors

from gameserver.net.link import Link


class Poller:
    """Watches the links of one room; a ``Watcher``.

    One ``select(0)`` a tick costs about 1 us for each ready link, 0.2 of it for ``selectors`` over a bare epoll (whose
    absence elsewhere is not worth a second path), and nothing for silent ones.
    Links whose news the socket cannot show (frames that were held back, a close) are added to its answer.
    """

    __slots__ = ("_awake", "_select", "_selector")

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._select = self._selector.select
        self._awake: list[Link] = []

    def __len__(self) -> int:
        return len(self._selector.get_map() or ())

    def add(self, link: Link) -> None:
        """Watch ``link``, which no other poller watches. A link that closed meanwhile is shown by the next ``poll``."""
        link.attach(self)
        if not link.closed:
            self._selector.register(link.fileno(), selectors.EVENT_READ, link)
        if link.has_news:
            self._awake.append(link)

    def remove(self, link: Link) -> None:
        """Stop watching ``link``, so that another poller may; no matter whether it is watched or closed."""
        link.detach()
        self._unregister(link)
        if link in self._awake:
            self._awake.remove(link)

    def poll(self) -> list[Link]:
        """The links to ``receive`` from now, without waiting; ``remove`` one that is closed when you have seen it."""
        links: list[Link] = [key.data for key, _ in self._select(0)]
        if self._awake:
            links = list(dict.fromkeys(links + self._awake))
            self._awake = []
        return links

    def wake(self, link: Link) -> None:
        """See ``Watcher``."""
        self._awake.append(link)

    def release(self, link: Link) -> None:
        """See ``Watcher``. The descriptor may be another connection's soon, so it is let go of here and not later."""
        self._unregister(link)
        self._awake.append(link)

    def close(self) -> None:
        """Free the selector; the links stay as they are."""
        self._selector.close()

    def _unregister(self, link: Link) -> None:
        try:
            self._selector.unregister(link.fileno())
        except (KeyError, ValueError):
            pass  # not watched, or its socket is closed already
