"""What kinds of files there are: their media types, whether compressing helps, whether they ever change. Pure.

The types stand here and not in the system's table (``mimetypes``), because that one differs between machines: Windows
reads its registry, where .js has been text/plain on many a machine, and a minimal container knows no .wasm. A browser
runs no module and streams no WebAssembly of the wrong type.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

_TEXT: Final = {
    "css": "text/css",
    "csv": "text/csv",
    "frag": "text/plain",
    "glsl": "text/plain",
    "htm": "text/html",
    "html": "text/html",
    "js": "text/javascript",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "txt": "text/plain",
    "vert": "text/plain",
    "vtt": "text/vtt",
    "wgsl": "text/plain",
    "xml": "text/xml",
}
#: Not text, but smaller by half when compressed.
_COMPRESSIBLE: Final = {
    "bmp": "image/bmp",
    "gltf": "model/gltf+json",
    "ico": "image/x-icon",
    "json": "application/json",
    "map": "application/json",
    "obj": "model/obj",
    "otf": "font/otf",
    "svg": "image/svg+xml",
    "tmj": "application/json",
    "ttf": "font/ttf",
    "wasm": "application/wasm",
    "webmanifest": "application/manifest+json",
}
_COMPRESSED: Final = {
    "aac": "audio/aac",
    "avif": "image/avif",
    "bin": "application/octet-stream",
    "flac": "audio/flac",
    "gif": "image/gif",
    "glb": "model/gltf-binary",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "ktx2": "image/ktx2",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "pdf": "application/pdf",
    "png": "image/png",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "zip": "application/zip",
}
_TYPES: Final = {name: f"{kind}; charset=utf-8" for name, kind in _TEXT.items()} | _COMPRESSIBLE | _COMPRESSED
#: A browser offers to save it.
UNKNOWN: Final = "application/octet-stream"

HTML: Final = _TYPES["html"]

_HASH: Final = re.compile(r".*[-.]([A-Za-z0-9_-]{8,64})\.[a-z0-9]+(\.map)?")
_HASH_CHANGES: Final = 4


def media_type(name: str) -> str:
    """What to send as Content-Type of a file of this name."""
    return _TYPES.get(_ending(name), UNKNOWN)


def is_compressible(name: str) -> bool:
    """Whether compressing such a file is worth the while."""
    ending = _ending(name)
    return ending in _TEXT or ending in _COMPRESSIBLE


def never_changes(name: str) -> bool:
    """Whether the name has a hash of the content in it, as ``index-B3xA91kd.js`` by Vite or ``main.8f3a2b1c.js``.

    Of the last eight characters and more behind a hyphen or a dot, at least four must be of another kind than the one
    before them: it must not be said of ``hero-Walking2.png`` or ``music-20240131.ogg``, which browsers would keep for a
    year. Of a quarter of the real hashes it is not said either; those files are only asked for again.
    """
    match = _HASH.fullmatch(name)
    if match is None:
        return False
    kinds = [_kind(character) for character in match[1]]
    return sum(one != other for one, other in pairwise(kinds)) >= _HASH_CHANGES


def _kind(character: str) -> str:
    if character.isdigit():
        return "0"
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return "-"


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower() if "." in name else ""
