"""Files that are kept in memory, and parts of those that are not."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gameserver.web import files
from gameserver.web.files import FRESH_SECONDS, File, Files, Folder, look


async def later() -> None:
    """A little later, when a file is looked at again."""
    await trio.sleep(FRESH_SECONDS * 1.5)


async def found(kept: Files, folder: Path, *names: str) -> File:
    file = await kept.find(str(folder), names)
    assert isinstance(file, File)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.js").write_text("let a = 1;\n" * 200)
    (tmp_path / "b.png").write_bytes(bytes(100))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text("sub")
    return tmp_path


async def test_a_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def counted(path: str, name: str, now: float) -> File:
        read.append(name)
        return real(path, name, now)

    real = files._read
    monkeypatch.setattr(files, "_read", counted)
    kept = Files()
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(found, kept, folder, "a.js")
    first = await found(kept, folder, "a.js")
    await later()
    assert (await found(kept, folder, "a.js")).body is first.body
    assert read == ["a.js"]
    (folder / "a.js").write_text("let a = 2;")
    await later()
    assert (await found(kept, folder, "a.js")).body == b"let a = 2;"
    assert (await found(kept, folder, "a.js")).facts.tag != first.facts.tag
    (folder / "a.js").unlink()
    await later()
    assert await kept.find(str(folder), ("a.js",)) is None


async def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "KEPT_BYTES", 10_000)
    monkeypatch.setattr(files, "KEPT_FILES", 20)
    kept = Files()
    for number in range(50):
        (tmp_path / f"{number}.bin").write_bytes(bytes(3000 if number < 25 else 10))
        await found(kept, tmp_path, f"{number}.bin")
        assert kept._bytes == sum(file.kept_bytes for file in kept._kept.values()) <= 10_000
        assert len(kept._kept) <= 20
    for _ in range(100):
        assert await kept.find(str(tmp_path), ("missing",)) is None
    assert len(kept._kept) == 20


async def test_parts_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "KEPT_FILE_BYTES", 1000)
    content = os.urandom(5000)
    (tmp_path / "large.js").write_bytes(content)
    kept = Files()
    file = await found(kept, tmp_path, "large.js")
    assert (file.body, file.zipped, file.facts.zipped, file.kept_bytes) == (None, None, None, 0)
    assert file.facts.length == 5000
    source = kept.source(file, 100, 4000)
    parts = [await source.read(offset, 1000) for offset in range(0, 4000, 1000)]
    assert b"".join(parts) == content[100:4100]
    (tmp_path / "large.js").write_bytes(content[:4999])
    with pytest.raises(OSError, match="has changed"):
        await source.read(0, 1000)
    (tmp_path / "large.js").unlink()
    with pytest.raises(OSError, match=r"large\.js"):
        await source.read(0, 1000)


def test_what_is_compressed(folder: Path) -> None:
    file = look(str(folder), ("a.js",), None, 0.0)
    assert isinstance(file, File)
    assert file.zipped is not None
    assert gzip.decompress(file.zipped) == file.body
    assert file.facts.zipped == len(file.zipped)
    for name, content in [("c.png", bytes(5000)), ("d.js", b"short"), ("e.js", os.urandom(5000))]:
        (folder / name).write_bytes(content)
        file = look(str(folder), (name,), None, 0.0)
        assert isinstance(file, File)
        assert (file.body, file.zipped, file.facts.zipped) == (content, None, None)


def test_the_same_content_has_the_same_tag(folder: Path) -> None:
    first = look(str(folder), ("a.js",), None, 0.0)
    os.utime(folder / "a.js", (1, 1))
    second = look(str(folder), ("a.js",), first if isinstance(first, File) else None, 1.0)
    assert isinstance(first, File)
    assert isinstance(second, File)
    assert first.facts.tag == second.facts.tag
    assert second.facts.date == "Thu, 01 Jan 1970 00:00:01 GMT"


def test_folders(folder: Path) -> None:
    assert isinstance(look(str(folder), ("sub",), None, 0.0), Folder)
    assert isinstance(look(str(folder), ("sub", ""), None, 0.0), File)
    assert look(str(folder), ("",), None, 0.0) is None


def test_where_an_index_is_costs_no_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a folder is kept, so each of many requests would read and compress its index again."""
    monkeypatch.setattr(files, "_read", None)
    assert isinstance(look(str(folder), ("sub",), None, 0.0), Folder)
    (folder / "sub" / "index.html").unlink()
    (folder / "sub" / "index.html").mkdir()
    assert look(str(folder), ("sub",), None, 0.0) is None
    assert look(str(folder), ("sub", ""), None, 0.0) is None


async def test_large_files_are_read_at_a_bounded_rate(tmp_path: Path, autojump_clock: MockClock) -> None:
    """However many read them, and however fast their lines are."""
    (tmp_path / "large.bin").write_bytes(bytes(files.KEPT_FILE_BYTES + 1))
    kept = Files()
    file = await found(kept, tmp_path, "large.bin")
    ended: list[float] = []

    async def download(parts: int) -> None:
        source = kept.source(file, 0, file.facts.length)
        for _ in range(parts):
            assert await source.read(0, 10) == bytes(10)
        ended.append(trio.current_time() - began)

    began = trio.current_time()
    await download(round(files.PARTS_BURST))
    assert ended.pop() < 0.01
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(download, 50)
    assert max(ended) == pytest.approx(500 / files.PARTS_PER_SECOND, rel=0.05)
    assert min(ended) > 0.9 * max(ended)  # none is served before the others


# ---- what changes while it is looked at


def in_its_place(path: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put ``other`` where ``path`` is, right after it has been looked at."""

    def swapped(*arguments: object) -> File:
        other.replace(path)
        return real(*arguments)  # type: ignore[arg-type]

    real = files._read
    monkeypatch.setattr(files, "_read", swapped)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders")
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/etc/hostname")])
def test_a_file_that_becomes_something_else(
    make: Callable[[Path], None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe without a writer must not hold the thread, and with it all other files."""
    make(folder / "other")
    in_its_place(folder / "a.js", folder / "other", monkeypatch)
    seen: list[object] = []
    looking = threading.Thread(target=lambda: seen.append(look(str(folder), ("a.js",), None, 0.0)), daemon=True)
    looking.start()
    looking.join(10)
    assert seen == [None]


def test_a_file_that_grows_while_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not sent cut off as if it were whole."""
    monkeypatch.setattr(files, "KEPT_FILE_BYTES", 1000)
    before = (folder / "b.png").stat()

    def grows(descriptor: int) -> os.stat_result:
        (folder / "b.png").write_bytes(bytes(2000))
        return before

    monkeypatch.setattr(os, "fstat", grows)
    assert look(str(folder), ("b.png",), None, 0.0) is None
    monkeypatch.undo()
    assert isinstance(look(str(folder), ("b.png",), None, 0.0), File)


async def test_a_file_whose_rights_change_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the author has just taken away from others is not shown out of memory."""
    kept = Files()
    first = await found(kept, folder, "b.png")
    (folder / "b.png").chmod(0)
    opened = []

    def refused(path: str) -> None:  # as root, the tests may read everything
        opened.append(path)
        raise PermissionError(path)

    monkeypatch.setattr(files, "_open", refused)
    await later()
    assert await kept.find(str(folder), ("b.png",)) is None
    assert opened == [first.path]


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    (folder / "a.js").chmod(0)
    assert look(str(folder), ("a.js",), None, 0.0) is None
