"""Files in folders, looked at in threads so that no disk delays a tick; small ones are kept in memory, as long as they
do not change.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final, TypeVar

import trio

from gameserver.web.media import is_compressible, media_type, never_changes
from gameserver.web.pace import Turns
from gameserver.web.variants import FileFacts

#: Longer files are not kept in memory, nor compressed: a megabyte takes a thread 30 ms.
KEPT_FILE_BYTES: Final = 2 * 1024 * 1024
#: Of all files that are kept, compressed and not.
KEPT_BYTES: Final = 48 * 1024 * 1024
KEPT_FILES: Final = 2048
#: A file that was looked at so lately is taken to be unchanged, in seconds: under a flood of requests the disk is asked
#: ten times a second.
FRESH_SECONDS: Final = 0.1
#: Threads that read parts of large files at once.
READING_THREADS: Final = 4
#: Parts of large files that are read in all, at once and in a second. One takes 0.3 ms with all that belongs to it: two
#: downloads by fast lines would take the whole core that the rooms run on, and this is 64 MiB/s for a third of it.
PARTS_BURST: Final = 32.0
PARTS_PER_SECOND: Final = 1000.0
#: Less is not worth a header.
_LEAST_ZIPPED_BYTES: Final = 512
#: Neither a link nor a pipe is waited for or followed; Windows has none of these.
_AS_IT_WAS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
#: What the index of a folder is called.
INDEX: Final = "index.html"

#: What tells that a file is another one: its number, length and time of change; and when its rights changed.
Stamp = tuple[int, int, int, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Folder:
    """Stands where a folder with an index was asked for without a slash at the end."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was when it was looked at.

    Attributes:
        path: without symbolic links. stamp: of it.
        media_type: of its name.
        facts: for `choose_variant`.
        body, zipped: None where they are not kept.
        looked_at: when it was known to be so, on trio's clock.
    """

    path: str
    stamp: Stamp
    media_type: str
    facts: FileFacts
    body: bytes | None
    zipped: bytes | None
    looked_at: float

    @property
    def kept_bytes(self) -> int:
        """What it takes in memory."""
        return len(self.body or b"") + len(self.zipped or b"")


class Files:
    """Finds files; must be made and used inside trio."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, tuple[str, ...]], File] = OrderedDict()
        self._bytes = 0
        self._looking = trio.Lock()
        self._readers = trio.CapacityLimiter(READING_THREADS)
        self._turns = Turns(PARTS_BURST, PARTS_PER_SECOND, trio.current_time())

    async def find(self, root: str, names: tuple[str, ...]) -> File | Folder | None:
        """What is there; None for nothing that may be had.

        Args:
            root: a folder, without symbolic links.
            names: as `read_path` gives them; "" at the end for the folder's index.
        """
        key = (root, names)
        kept = self._fresh(key)
        if kept is not None:
            return kept
        async with self._looking:  # one thread, and nobody reads what another is reading
            kept = self._fresh(key)
            if kept is None:
                known, now = self._kept.get(key), trio.current_time()
                found = await _in_thread(lambda: look(root, names, known, now), self._readers)
                self._keep(key, found)
                return found
        return kept

    def source(self, file: File, start: int, length: int) -> LargeFile:
        """A part of a file that is not kept, to be read while it is sent."""
        return LargeFile(file, start, length, self._readers, self._turns)

    def _fresh(self, key: tuple[str, tuple[str, ...]]) -> File | None:
        kept = self._kept.get(key)
        if kept is None or trio.current_time() - kept.looked_at > FRESH_SECONDS:
            return None
        self._kept.move_to_end(key)
        return kept

    def _keep(self, key: tuple[str, tuple[str, ...]], found: File | Folder | None) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self._bytes -= old.kept_bytes
        if isinstance(found, File):
            self._kept[key] = found
            self._bytes += found.kept_bytes
        while self._bytes > KEPT_BYTES or len(self._kept) > KEPT_FILES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.kept_bytes


class LargeFile:
    """A `BodySource`. It is opened for each piece: a peer that reads slowly holds no descriptor.

    Args:
        turns: when each piece of all large files may be read.

    Attributes:
        length: in bytes.
    """

    def __init__(self, file: File, start: int, length: int, readers: trio.CapacityLimiter, turns: Turns) -> None:
        self.length = length
        self._file = file
        self._start = start
        self._readers = readers
        self._turns = turns

    async def read(self, offset: int, most_bytes: int) -> bytes:
        """As of `BodySource`."""
        now = trio.current_time()
        wait = self._turns.wait_seconds(now)
        self._turns.take(now)
        if wait:
            await trio.sleep(wait)
        return await _in_thread(lambda: read_part(self._file, self._start + offset, most_bytes), self._readers)


async def _in_thread(work: Callable[[], T], limiter: trio.CapacityLimiter) -> T:
    # A disk that hangs must not keep the server from ending; the thread holds nothing that somebody would miss.
    return await trio.to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)


def read_part(file: File, offset: int, most_bytes: int) -> bytes:
    """Some bytes of a file, at least one; OSError when it is not any more what it was."""
    with _open(file.path) as stream:
        # Rights, or another link to it, do not matter as long as it opens: who has half of it gets the rest.
        if _stamp(os.fstat(stream.fileno()))[:3] != file.stamp[:3]:
            raise OSError(f"{file.path} has changed")
        stream.seek(offset)
        part = stream.read(most_bytes)
    if not part:
        raise OSError(f"{file.path} has become shorter")
    return part


def look(root: str, names: tuple[str, ...], known: File | None, now: float) -> File | Folder | None:
    """What is under ``root``; as `Files.find`.

    Args:
        known: what was there before; taken as it is when nothing has changed.
    """
    path = find_path(root, names)
    if path is None:
        return None
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            return Folder() if names[-1] and _is_file(find_path(root, (*names, ""))) else None
        if not stat.S_ISREG(status.st_mode):  # a pipe would not even open
            return None
        if known is not None and (known.path, known.stamp) == (path, _stamp(status)):
            return replace(known, looked_at=now)
        return _read(path, names[-1] or INDEX, now)
    except (OSError, ValueError):
        return None


def find_path(root: str, names: tuple[str, ...]) -> str | None:
    """The path without symbolic links; None when it is not inside ``root``, or hidden there."""
    try:
        path = os.path.realpath(os.path.join(root, *names[:-1], names[-1] or INDEX))
        inside = os.path.relpath(path, root).split(os.sep)
    except (OSError, ValueError):  # a loop of links, another drive of Windows
        return None
    if any(part.startswith(".") for part in inside) or os.path.isabs(inside[0]):
        return None
    return path


def _read(path: str, name: str, now: float) -> File:
    with _open(path) as stream:
        status = os.fstat(stream.fileno())
        body = zipped = None
        if status.st_size <= KEPT_FILE_BYTES:
            body = stream.read(KEPT_FILE_BYTES + 1) or b""
            if len(body) > KEPT_FILE_BYTES:
                raise OSError(f"{path} grows while it is read")
    length = status.st_size if body is None else len(body)
    if body is None:
        tag = f"{status.st_mtime_ns:x}-{length:x}"
    else:
        tag = blake2b(body, digest_size=12).hexdigest()
        zipped = _zipped(body) if is_compressible(name) else None
    facts = FileFacts(length, None if zipped is None else len(zipped), tag, status.st_mtime, never_changes(name))
    return File(path, _stamp(status), media_type(name), facts, body, zipped, now)


def _open(path: str) -> io.FileIO:
    """Open a file for reading; OSError when it is not one any more. Does not wait for the writer of a pipe that has
    taken the place of a file since somebody looked.
    """
    stream = io.FileIO(path, "rb", opener=lambda name, flags: os.open(name, flags | _AS_IT_WAS))
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(f"{path} is no file")
    return stream


def _is_file(path: str | None) -> bool:
    """Whether a file is there. What is in it costs nothing: who asks for a folder is only told where its index is."""
    return path is not None and os.path.isfile(path)


def _zipped(body: bytes) -> bytes | None:
    """Compressed, if that is worth the while."""
    if len(body) < _LEAST_ZIPPED_BYTES:
        return None
    zipped = gzip.compress(body, compresslevel=6, mtime=0)
    return zipped if len(zipped) < 0.9 * len(body) else None


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
