"""The few pages that the server writes itself, and the rules that it gives browsers for its own. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from http import HTTPStatus
from typing import Final

from gameserver.net.http import HttpAnswer
from gameserver.net.request_head import Headers
from gameserver.web.media import HTML
from gameserver.web.targets import write_path

#: What pages that come with the server may do: nothing from anywhere else but play, on any server. Pages of authors
#: have no such rules from us: they may load a library from where they like.
POLICY: Final[Headers] = (
    (
        "Content-Security-Policy",
        "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; "
        "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    ),
)

#: What browsers ask every site for: without an answer each page would begin with an error in its console.
ICON: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#123"/>'
    b'<path d="M8 2.5 12.5 13 8 10.6 3.5 13z" fill="#6cf"/></svg>\n'
)
ICON_NAME: Final = "favicon.ico"

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1rem; }}
  h1 {{ font-size: 1.3rem; }}
</style>
<h1>{title}</h1>
{parts}
</html>
"""


def icon() -> HttpAnswer:
    """The icon of pages that have none."""
    return HttpAnswer(HTTPStatus.OK, ICON, "image/svg+xml", (("Cache-Control", "max-age=86400"), *POLICY), keep=True)


def list_of_rooms(names: Iterable[str]) -> HttpAnswer:
    """The first page of a server with several room types and none of its author."""
    return _page(HTTPStatus.OK, "Rooms on this server", _links(names))


def missing(names: Iterable[str]) -> HttpAnswer:
    """404 for people."""
    return _page(HTTPStatus.NOT_FOUND, "There is nothing at this address", f"<p>There is:</p>\n{_links(names)}")


def missing_text(text: str) -> HttpAnswer:
    """404 for programs."""
    return HttpAnswer(HTTPStatus.NOT_FOUND, f"{text}\n".encode(), headers=(("Cache-Control", "no-store"),), keep=True)


def redirect(status: HTTPStatus, path: str, query: str) -> HttpAnswer:
    """To another path of this server.

    Args:
        path: encoded; its second character is no slash, which would lead to another server.
    """
    where = f"{path}?{query}" if query else path
    return HttpAnswer(
        status, f"{where}\n".encode(), headers=(("Location", where), ("Cache-Control", "no-cache")), keep=True
    )


def _page(status: HTTPStatus, title: str, parts: str) -> HttpAnswer:
    body = _PAGE.format(title=escape(title), parts=parts).encode()
    return HttpAnswer(status, body, HTML, (("Cache-Control", "no-store"), *POLICY), keep=True)


def _links(names: Iterable[str]) -> str:
    items = "\n".join(f'  <li><a href="{escape(write_path((name, "")))}">{escape(name)}</a>' for name in names)
    return f"<ul>\n{items}\n</ul>"
