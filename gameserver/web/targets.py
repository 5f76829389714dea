"""Paths of requests: taken apart so strictly that what is left can only name something inside a folder. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

#: More folders than anybody nests, and longer names than file systems take.
_MOST_SEGMENTS: Final = 32
_NAME_BYTES: Final = 255
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: Separators elsewhere, drives and streams of Windows, and what no file of a game is called.
_FORBIDDEN: Final = re.compile(r'[\x00-\x1f\x7f-\x9f\\/:*?"<>|]')
#: What HFS+ of macOS leaves out when it compares names: there, U+200C before ``.git`` is ``.git``.
_IGNORED: Final = "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u206a\u206b\u206c\u206d\u206e\u206f\ufeff"
#: What Windows takes for a device in every folder, whatever stands behind a dot.
_DEVICE: Final = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$)(\..*)?")


def read_path(path: str) -> tuple[str, ...] | None:
    """The names that a request's path has between its slashes, decoded; the last is "" when it ends with a slash.

    None when nothing can be there: for a name that begins with a dot (``..`` and hidden files), that is empty, ends
    with a dot or a space, has a separator or a control character in it, whichever way it was written, or is not UTF-8.

    Args:
        path: without its query, as it was sent; begins with a slash.
    """
    *folders, last = path.split("/")[1:]
    if len(folders) >= _MOST_SEGMENTS or _BROKEN_ESCAPE.search(path):
        return None
    names = []
    for name in (*folders, last) if last else folders:
        encoded = unquote_to_bytes(name)
        try:
            decoded = encoded.decode()
        except UnicodeDecodeError:
            return None
        if len(encoded) > _NAME_BYTES or not _is_name(decoded):
            return None
        names.append(decoded)
    return tuple(names) if last else (*names, "")


def write_path(names: tuple[str, ...]) -> str:
    """The path of a request for ``names``, as `read_path` gives them."""
    return "/" + "/".join(quote(name, safe="-._~!$&'()+,;=@") for name in names)


def _is_name(name: str) -> bool:
    """Whether it may be the name of a file or folder."""
    return bool(
        name
        and not name.lstrip(_IGNORED).startswith(".")
        and not name.endswith((".", " "))
        and not _FORBIDDEN.search(name)
        and not _DEVICE.fullmatch(name)
    )
