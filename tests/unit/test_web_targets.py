"""Paths of requests: whatever is asked for, what is opened is inside the folder and not hidden."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gameserver.web.files import File, find_path, look
from gameserver.web.targets import read_path, write_path
from tests.support.examples import examples

#: A path, and the names in it; None where nothing can be.
PATHS: list[tuple[str, tuple[str, ...] | None]] = [
    ("/", ("",)),
    ("/a", ("a",)),
    ("/a/", ("a", "")),
    ("/a/b.js", ("a", "b.js")),
    ("/a%20b", ("a b",)),
    ("/%e4%bd%a0", ("你",)),
    ("/%C3%A9t%C3%A9.png", ("été.png",)),
    ("/a+b", ("a+b",)),
    ("/a%2Bb", ("a+b",)),
    ("/a%25", ("a%",)),
    ("/a;b=c", ("a;b=c",)),
    ("/~ann/@x", ("~ann", "@x")),
    ("/" + "n" * 255, ("n" * 255,)),
    ("/" + "n" * 256, None),
    ("/" + "a/" * 31, (*["a"] * 31, "")),
    ("/" + "a/" * 32, None),
    ("//", None),
    ("//evil.example", None),
    ("/a//b", None),
    ("/./a", None),
    ("/../a", None),
    ("/a/..", None),
    ("/a/../b", None),
    ("/.../a", None),
    ("/%2e%2e/a", None),
    ("/%2E./a", None),
    ("/..%2fa", None),
    ("/a%2fb", None),
    ("/a%5cb", None),
    ("/..\\a", None),
    ("/..%5c..%5ca", None),
    ("/%252e%252e/a", ("%2e%2e", "a")),
    ("/%c0%ae%c0%ae/a", None),
    ("/%ff", None),
    ("/%ed%a0%80", None),
    ("/a%00.png", None),
    ("/a%0a", None),
    ("/a%7f", None),
    ("/a%c2%85", None),
    ("/%", None),
    ("/%g0", None),
    ("/%2", None),
    ("/.git/config", None),
    ("/.env", None),
    ("/a/.htpasswd", None),
    ("/%2egit", None),
    ("/c:/windows", None),
    ("/c%3a", None),
    ("/a.txt::$DATA", None),
    ("/a.txt.", None),
    ("/a.txt%20", None),
    ("/con", None),
    ("/NUL.txt", None),
    ("/a/com1", None),
    ("/console", ("console",)),
    ("/%e2%80%8c.git/config", None),
    ("/a%e2%80%8db", ("a\u200db",)),
    ("/a*b", None),
    ("/a%7cb", None),
]


@pytest.mark.parametrize(("path", "names"), PATHS)
def test_what_is_read(path: str, names: tuple[str, ...] | None) -> None:
    assert read_path(path) == names
    if names is not None:
        assert read_path(write_path(names)) == names


@examples(300)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4), st.booleans())
def test_names_survive_being_written_and_read(names: list[str], slash: bool) -> None:
    try:
        sent = "/" + "/".join(quote(name, safe="") for name in names) + "/" * slash
    except UnicodeEncodeError:  # half a character
        return
    read = read_path(sent)
    if read is not None:
        assert read == (*names, "") if slash else tuple(names)
        assert write_path(read).isascii()
        assert not write_path(read).startswith("//")
        assert read_path(write_path(read)) == read


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder ``open`` with files and links, beside what must stay where it is."""
    top = tmp_path_factory.mktemp("house")
    (top / "secret.txt").write_text("secret")
    (top / "open-not").mkdir()
    (top / "open-not" / "a.txt").write_text("secret")
    root = top / "open"
    for folder in ("sub/deep", ".git", "empty"):
        (root / folder).mkdir(parents=True)
    for name in ("index.html", "a.txt", "sub/index.html", "sub/deep/b.txt", ".git/config", ".env", "été.png"):
        (root / name).write_text("secret" if name.startswith(".") else "open")
    (root / "inside").symlink_to(root / "sub")
    (root / "inside.txt").symlink_to("a.txt")
    (root / "outside").symlink_to(top)
    (root / "outside.txt").symlink_to(top / "secret.txt")
    (root / "neighbour").symlink_to(top / "open-not")
    (root / "hidden.txt").symlink_to(root / ".env")
    (root / "nothing").symlink_to(root / "gone")
    (root / "round").symlink_to(root / "round")
    os.mkfifo(root / "pipe")
    return root


#: What is found in it: a text, "folder", or None.
FOUND = [
    ("/", "open"),
    ("/index.html", "open"),
    ("/a.txt", "open"),
    ("/a.txt/", None),
    ("/a.txt/b", None),
    ("/sub", "folder"),
    ("/sub/", "open"),
    ("/sub/deep", None),
    ("/sub/deep/", None),
    ("/sub/deep/b.txt", "open"),
    ("/empty", None),
    ("/inside", "folder"),
    ("/inside/", "open"),
    ("/inside/deep/b.txt", "open"),
    ("/inside.txt", "open"),
    ("/outside", None),
    ("/outside/secret.txt", None),
    ("/outside/open/a.txt", "open"),
    ("/outside.txt", None),
    ("/neighbour/a.txt", None),
    ("/hidden.txt", None),
    ("/nothing", None),
    ("/round", None),
    ("/round/a", None),
    ("/pipe", None),
    ("/%C3%A9t%C3%A9.png", "open"),
    ("/A.TXT/../a.txt", None),
]


@pytest.mark.parametrize(("path", "what"), FOUND)
def test_what_is_found(path: str, what: str | None, house: Path) -> None:
    names = read_path(path)
    found = None if names is None else look(str(house), names, None, 0.0)
    text = (found.body or b"").decode() if isinstance(found, File) else "folder" if found else None
    assert text == what


STEPS = st.sampled_from(
    [
        *(
            "..",
            ".",
            "%2e%2e",
            "..%2f",
            "%2e%2e%2f",
            "..\\",
            "%5c",
            "%00",
            "",
            "~",
            "%252e%252e",
            "..;",
            "c:",
            "%c0%ae",
        ),
        *("sub", "deep", "inside", "outside", "neighbour", "open", "open-not", ".git", "round", "pipe", "a.txt"),
        *("secret.txt", "b.txt", ".env", "config", "index.html", "etc", "passwd", "outside.txt", "hidden.txt"),
    ]
)


@examples(500)
@given(st.lists(STEPS | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=6), max_size=8))
@example(["outside", "..", "secret.txt"])
def test_nothing_leaves_the_folder(house: Path, steps: list[str]) -> None:
    for path in ("/" + "/".join(steps), "/" + "%2f".join(steps), unquote("/" + "/".join(steps))):
        names = read_path(path)
        if names is None:
            continue
        real = find_path(str(house), names)
        if real is not None:
            assert Path(real).is_relative_to(house)
            assert not any(part.startswith(".") for part in Path(real).relative_to(house).parts)
        found = look(str(house), names, None, 0.0)
        assert not isinstance(found, File) or found.body == b"open"


def test_a_root_that_is_the_whole_disk() -> None:
    assert find_path("/", ("etc", "hostname")) == os.path.realpath("/etc/hostname")
