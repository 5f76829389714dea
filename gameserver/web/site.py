"""What a server shows to browsers: the client to play with, a page for each room type, and the author's own files."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

import trio

from gameserver.net import RequestHead, Visitor
from gameserver.net.http import HttpAnswer, HttpRequest
from gameserver.net.request_head import Headers
from gameserver.web import own_pages
from gameserver.web.files import INDEX, File, Files, Folder
from gameserver.web.pace import Pace
from gameserver.web.targets import read_path, write_path
from gameserver.web.variants import accepts_html, choose_variant

_OURS: Final = Path(__file__).resolve().parent.parent
_BUNDLED: Final = Path(__file__).resolve().parent / "bundled"
_INSPECTOR: Final = Path(__file__).resolve().parent / "inspector"
#: What every server has at its root, whatever else is there.
_SCRIPTS: Final = ("client.js", "extras.js", "overlay.js")
#: Paths that are no pages, and what others begin with.
_API: Final = ("/healthz", "/readyz", "/rooms")
_API_FOLDER: Final = "/matchmake/"
#: Room types that a page names.
_MOST_NAMED: Final = 100


class Site:
    """Pages and files of a server, as `gameserver.net.responder` asks for them; must be made and used inside trio.

    Args:
        rooms: the folder of each room type's page by the type's name; None for those without one.
        static: the author's own folder, if there is one.

    Attributes:
        idle: connections that wait for their next request.
    """

    def __init__(self, rooms: Mapping[str, Path | None], static: Path | None = None) -> None:
        self.idle: set[trio.CancelScope] = set()
        self._rooms = {name: None if folder is None else str(folder.resolve()) for name, folder in rooms.items()}
        self._static = None if static is None else str(static.resolve())
        ours = [_BUNDLED, _INSPECTOR, *(folder.resolve() for folder in rooms.values() if folder is not None)]
        self._ours = {str(folder) for folder in ours if folder.is_relative_to(_OURS)}
        self._files = Files()
        self._pace = Pace(trio.current_time())

    def turn_seconds(self, visitor: Visitor) -> float | None:
        """How long the next request of a connection must wait before it is read; None to end the connection."""
        return self._pace.take(visitor.counted_as, trio.current_time())

    def serves(self, head: RequestHead) -> bool:
        """Whether a request is for pages, of which most may be missing."""
        path = head.path.partition("?")[0]
        return path not in _API and not path.startswith(_API_FOLDER)

    def knows(self, path: str) -> bool:
        """Whether there may be something at a path, so that another method than GET and HEAD is what is wrong."""
        names = read_path(path)
        return names is not None and (self._static is not None or names[0] in (*self._rooms, *_SCRIPTS))

    def end_idle(self) -> None:
        """End the connections that wait for their next request."""
        for scope in list(self.idle):
            scope.cancel()

    async def answer(self, request: HttpRequest, visitor: Visitor) -> HttpAnswer | None:
        """What is there; None for nothing but perhaps a room."""
        names = read_path(request.path)
        answer = None if names is None else await self._find(names, request)
        if answer is not None:
            return answer
        if accepts_html(request):
            return own_pages.missing([*self._rooms][:_MOST_NAMED])
        if names is not None and len(names) == 1 and names[0] in _SCRIPTS:
            return own_pages.missing_text(f"{names[0]} has not been built: run make client in the sources.")
        if names is None or len(names) > 1 or "." in names[0]:
            return own_pages.missing_text("No such room or file.")
        return None

    async def _find(self, names: tuple[str, ...], request: HttpRequest) -> HttpAnswer | None:
        first = names[0]
        if first in self._rooms:
            return await self._room_page(names, request)
        answer = await self._file(self._static, names, request)
        if answer is not None:
            return answer
        if names == ("",):
            return self._home()
        if len(names) == 1 and first in _SCRIPTS:
            return await self._file(str(_BUNDLED), names, request)
        if names == (own_pages.ICON_NAME,):
            return own_pages.icon()
        return None

    def _home(self) -> HttpAnswer:
        if len(self._rooms) == 1:
            (name,) = self._rooms
            return own_pages.redirect(HTTPStatus.FOUND, write_path((name, "")), "")
        return own_pages.list_of_rooms([*self._rooms][:_MOST_NAMED])

    async def _room_page(self, names: tuple[str, ...], request: HttpRequest) -> HttpAnswer | None:
        name, *rest = names
        if not rest:  # where players connect, too
            if not accepts_html(request):
                return None
            return own_pages.redirect(HTTPStatus.PERMANENT_REDIRECT, write_path((name, "")), request.query)
        folder = self._rooms[name]
        if folder is not None:
            return await self._file(folder, tuple(rest), request, names)
        answer = await self._file(self._static, names, request)
        return answer or await self._file(str(_INSPECTOR), tuple(rest), request, names)

    async def _file(
        self,
        folder: str | None,
        names: tuple[str, ...],
        request: HttpRequest,
        asked: tuple[str, ...] | None = None,
    ) -> HttpAnswer | None:
        """A file of a folder.

        Args:
            names: below the folder. asked: below the root, where that is something else.
        """
        if folder is None:
            return None
        found = await self._files.find(folder, names)
        if found is None:
            return None
        if isinstance(found, Folder):
            return own_pages.redirect(HTTPStatus.PERMANENT_REDIRECT, write_path((*(asked or names), "")), request.query)
        return self._answer_with(found, request, own_pages.POLICY if folder in self._ours else ())

    def _answer_with(self, file: File, request: HttpRequest, policy: Headers) -> HttpAnswer:
        variant = choose_variant(file.facts, request)
        body = file.zipped if variant.zipped else file.body
        if variant.length and body is None:
            source = self._files.source(file, variant.start, variant.length)
            return HttpAnswer(variant.status, source, file.media_type, variant.headers + policy, keep=True)
        part = memoryview(body or b"")[variant.start : variant.start + variant.length]
        return HttpAnswer(variant.status, part, file.media_type, variant.headers + policy, keep=True)


def check_folder(folder: Path, what: str) -> Path:
    """``folder``, once it is sure that a browser finds a page there.

    Args:
        what: declares it, for the error.
    Raises:
        ValueError: names it, the path, and what to do.
    """
    if not folder.is_dir():
        raise ValueError(f"{what}: there is no folder {folder}; create it, or give the folder that has {INDEX}")
    return folder
