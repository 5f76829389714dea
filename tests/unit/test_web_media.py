"""What kinds of files there are, and which never change."""

from __future__ import annotations

import pytest

from gameserver.web.media import is_compressible, media_type, never_changes


@pytest.mark.parametrize(
    ("name", "kind", "compressible"),
    [
        ("index.html", "text/html; charset=utf-8", True),
        ("main.js", "text/javascript; charset=utf-8", True),
        ("main.MJS", "text/javascript; charset=utf-8", True),
        ("style.css", "text/css; charset=utf-8", True),
        ("game.wasm", "application/wasm", True),
        ("level.json", "application/json", True),
        ("main.js.map", "application/json", True),
        ("ship.svg", "image/svg+xml", True),
        ("ship.webp", "image/webp", False),
        ("ship.avif", "image/avif", False),
        ("ship.PNG", "image/png", False),
        ("font.woff2", "font/woff2", False),
        ("shot.ogg", "audio/ogg", False),
        ("ship.glb", "model/gltf-binary", False),
        ("ship.gltf", "model/gltf+json", True),
        ("game.pck", "application/octet-stream", False),
        ("LICENSE", "application/octet-stream", False),
        ("js", "application/octet-stream", False),
    ],
)
def test_types(name: str, kind: str, compressible: bool) -> None:
    assert media_type(name) == kind
    assert is_compressible(name) is compressible


@pytest.mark.parametrize(
    ("name", "fixed"),
    [
        ("index-B3xA91kd.js", True),
        ("index-B3xA91kd.css", True),
        ("index-B3xA91kd.js.map", True),
        ("main.8f3a2b1c9d0e.js", True),
        ("chunk-2XZ7QJ4K.js", True),
        ("logo-DxT_4-9a.svg", True),
        ("index.html", False),
        ("client.js", False),
        ("hero-Walking2.png", False),
        ("hero-Player01.png", False),
        ("hero-HeroIdle.png", False),
        ("tile-Tutorial.json", False),
        ("music-20240131.ogg", False),
        ("music.20240131.ogg", False),
        ("level-00000001.json", False),
        ("jquery.min.js", False),
        ("three.module.js", False),
        ("a-B3xA91k.js", False),
        ("B3xA91kd", False),
    ],
)
def test_which_never_change(name: str, fixed: bool) -> None:
    assert never_changes(name) is fixed
