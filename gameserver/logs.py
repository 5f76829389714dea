"""Log lines that can be trusted: structured, escaped, without secrets, and limited per peer.

Over the standard ``logging``, so that a program which embeds the server keeps its own handlers and formatters. What is
said of a line here holds with any of them: `log_event` cleans the fields before it makes the record.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from numbers import Integral, Real
from typing import Any, Final, Literal
from urllib.parse import unquote

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from gameserver.allowance import Allowance

#: What stands in place of a secret.
HIDDEN: Final = "[hidden]"
#: A value is a secret when one of these is in its name, whatever the case: ``access_token``, ``Set-Cookie``.
SECRET_WORDS: Final = ("token", "authorization", "cookie", "password", "secret", "credential", "session", "jwt")

#: The longest text shown, and what one field may show in all when it holds several. In characters before escaping.
TEXT_CHARACTERS: Final = 200
FIELD_CHARACTERS: Final = 1000
#: Bounds on fields that hold others.
_ITEMS: Final = 20
_DEPTH: Final = 3
#: Whole numbers of more bits are named by their size: Python refuses to print very large ones.
_INT_BITS: Final = 128
_CUT: Final = "..."

#: Stands before every line of a traceback, so that text in an exception's message cannot pass for a line of its own.
MARKER: Final = "  | "
#: Lines kept of a traceback, from its beginning and from its end, and characters of each.
_FIRST_LINES: Final = 50
_LAST_LINES: Final = 150
_LINE_CHARACTERS: Final = 300

#: Event texts that `LogLimiter` knows at a time. They are fixed: a server has some dozens.
_EVENTS: Final = 256

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PLAIN_PEER = re.compile(r"[A-Za-z0-9.:%_\[\]-]{1,80}")
_QUERY_BEGINS = re.compile(r"[?#;]")
_SEPARATOR = re.compile(r"[?#;]|%3[fb]|%23", re.IGNORECASE)
_EQUALS = re.compile(r"=|%3d", re.IGNORECASE)
_JSON_KEYS: Final = frozenset({"time", "level", "logger", "event", "exception", "stack"})


class LogLimiter:
    """How many lines a peer may cause: of each event ``burst`` at once and ``per_second`` on average. Pure.

    Args:
        peers: how many pairs of peer and event are remembered; the one unused for longest is forgotten first.
        total_per_second: lines of one event per second, and at once, from all peers together.
    """

    def __init__(
        self, per_second: float = 1.0, burst: int = 5, peers: int = 1024, total_per_second: float = 50.0
    ) -> None:
        self._of_each = (float(burst), per_second)
        self._of_all = (max(1.0, total_per_second), total_per_second)
        self._most = peers
        self._of_peers: OrderedDict[tuple[str, str], _Quota] = OrderedDict()
        self._of_events: dict[str, _Quota] = {}

    def __len__(self) -> int:
        """How many pairs of peer and event are remembered."""
        return len(self._of_peers)

    def admit(self, peer: str, event: str, now: float) -> int | None:
        """Whether a line may be logged.

        Args:
            peer: an address; a port is ignored.
            now: the clock's time in seconds.
        Returns:
            None for no, otherwise how many lines of this peer and event were suppressed since the last admitted one.
        """
        everyone = self._of_events.get(event)
        if everyone is None:
            if len(self._of_events) >= _EVENTS:
                self._of_events.clear()
            everyone = self._of_events[event] = _Quota(*self._of_all, now)
        quota = self._quota((address_of(peer), event), now)
        if not quota.take(now) or not everyone.take(now):
            quota.suppressed += 1
            return None
        suppressed, quota.suppressed = quota.suppressed, 0
        return suppressed

    def take_forgotten(self, event: str) -> int:
        """How many lines were suppressed of peers that are not remembered any more; each is reported once."""
        everyone = self._of_events[event]
        forgotten, everyone.suppressed = everyone.suppressed, 0
        return forgotten

    def _quota(self, key: tuple[str, str], now: float) -> _Quota:
        quota = self._of_peers.get(key)
        if quota is not None:
            self._of_peers.move_to_end(key)
            return quota
        quota = self._of_peers[key] = _Quota(*self._of_each, now)
        if len(self._of_peers) > self._most:
            (_, event), forgotten = self._of_peers.popitem(last=False)
            if event in self._of_events:
                self._of_events[event].suppressed += forgotten.suppressed
        return quota


class _Quota(Allowance):
    """How many lines may be logged, and how many were suppressed that nobody was told of."""

    __slots__ = ("suppressed",)

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        super().__init__(burst, per_second, now)
        self.suppressed = 0


def address_of(peer: str) -> str:
    """A peer without its port: ``1.2.3.4`` of ``1.2.3.4:5``, ``::1`` of ``[::1]:5``."""
    if peer.startswith("["):
        return peer[1:].partition("]")[0]
    address, _, port = peer.rpartition(":")
    return address if address and ":" not in address and port.isdigit() else peer


# One for the process, as the log is. Threads may each run a server.
_limiter = LogLimiter()
_limiter_lock = threading.Lock()


def reset_limits() -> None:
    """Forget what peers have used of their lines; for tests, which all come from the same address."""
    global _limiter
    with _limiter_lock:
        _limiter = LogLimiter()


def log_event(
    logger: logging.Logger,
    level: int,
    event: str,
    *,
    peer: str | None = None,
    exc_info: BaseException | bool | None = None,
    **fields: object,
) -> None:
    """Log one structured line, unless the level is off or the peer has caused too many of this event.

    The record has ``event`` and ``fields`` (a dict of what may be shown), and a message that reads
    ``connection refused peer=1.2.3.4:5 status=403 origin='http://x'``. Lines without a peer are not limited.

    Args:
        level: as in ``logging.WARNING``.
        event: a short fixed text; what varies belongs into the fields.
        peer: the address that caused the line.
        exc_info: an exception whose traceback is logged, or True for the one being handled.
        fields: texts, numbers, None, and lists and dicts of them. Bytes are shown as text and exceptions as what they
            say; of any other object only the type is shown, because its text may hold a secret.
    """
    if not logger.isEnabledFor(level):
        return
    suppressed: dict[str, int] = {}
    if peer is not None:
        fields = {"peer": peer, **fields}
        with _limiter_lock:
            own = _limiter.admit(peer, event, time.monotonic())
            if own is None:
                return
            others = _limiter.take_forgotten(event)
        suppressed = {name: n for name, n in (("suppressed", own), ("suppressed_of_others", others)) if n}
    error = sys.exception() if exc_info is True else exc_info or None
    _emit(logger, level, event, _Clean(_clean_fields({**fields, **suppressed})), error)


def _emit(logger: logging.Logger, level: int, event: str, fields: _Clean, error: BaseException | None) -> None:
    """Hand the record to the logger's handlers; it says that `log_event`'s caller has logged it."""
    path, line, function, _ = logger.findCaller(stacklevel=3)
    message = _ascii(" ".join([*_safe_lines(event), *(_field_text(*field) for field in fields.items())]))
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    extra = {"event": event, "fields": fields}
    record = logger.makeRecord(logger.name, level, path, line, message, (), exc_info, function, extra)
    if error is not None:
        # Formatters take this in place of the traceback they would make, in which the exception could forge lines.
        record.exc_text = "\n".join(_marked(_traceback_lines(error)))
    logger.handle(record)


# -- what may be shown


class _Clean(dict[str, Any]):
    """Fields that are cut and escaped and hold no secrets: None, bool, int, float, str, and lists and dicts of them."""


def is_secret(name: object) -> bool:
    """Whether what has this name (text or bytes) must not be shown."""
    if isinstance(name, bytes | bytearray):
        name = name.decode("latin-1")
    return isinstance(name, str) and any(word in name.lower() for word in SECRET_WORDS)


def safe_path(path: str) -> str:
    """A URL, or a part of one, without the values in its query whose names say that they are secret.

    Semicolons and fragments count as parts of the query, and an escaped ``=`` as one, so that rather too much is
    hidden: a value ends at the next ``&`` only. `log_event` and the formatters do this with all text.
    """
    begin = _QUERY_BEGINS.search(path)
    if begin is None:
        return path
    parts = path[begin.end() :].split("&")
    return path[: begin.end()] + "&".join(_safe_part(part) for part in parts)


def _safe_part(part: str) -> str:
    begin = 0
    for equals in _EQUALS.finditer(part):
        name = _SEPARATOR.split(part[begin : equals.start()])[-1]
        if is_secret(unquote(name)):
            return part[: equals.end()] + HIDDEN
        begin = equals.end()
    return part


def _clean_fields(fields: Mapping[str, object]) -> dict[str, Any]:
    cleaned = {}
    for name, value in fields.items():
        try:
            shown = HIDDEN if is_secret(name) else _Cleaner().clean(value)
        except Exception:  # an object that cannot be read costs its field and not the caller
            shown = _type_name(value)
        cleaned[str(_Cleaner().clean(name, _DEPTH))] = shown
    return cleaned


class _Cleaner:
    """Makes what may be shown out of one field's value."""

    def __init__(self) -> None:
        self._left = FIELD_CHARACTERS

    def clean(self, value: object, depth: int = 0) -> Any:
        """``value`` cut, escaped and without secrets."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return _ascii(self.text(bytes(value[: TEXT_CHARACTERS + 1]).decode("latin-1")))
        if isinstance(value, Integral | Real):
            return self._number(value)
        if isinstance(value, BaseException):
            return self.text(f"{type(value).__name__}: {value}")
        if isinstance(value, type):
            return self.text(value.__qualname__)
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return _CUT if depth >= _DEPTH else self._several(value, depth + 1)
        return _type_name(value)

    def text(self, text: str) -> str:
        """``text`` cut and escaped, backslashes too: what Python reads as the same text, were it in quotes."""
        most = min(TEXT_CHARACTERS, self._left)
        shown = text[:most]
        self._left -= len(shown)
        # A name stands before its value: what is cut off first cannot take the name of a secret with it.
        escaped = _escaped(safe_path(shown), backslash=True)
        return escaped + _CUT if len(text) > most else escaped

    def _number(self, value: Integral | Real) -> int | float | str:
        self._left -= 10
        if isinstance(value, Integral):
            whole = int(value)
            bits = whole.bit_length()
            return whole if bits <= _INT_BITS else f"<int of {bits} bits>"
        number = float(value)
        return number if number - number == 0 else str(number)  # JSON has no infinity and no NaN

    def _several(self, value: Mapping[Any, object] | Iterable[object], depth: int) -> dict[str, Any] | list[Any]:
        if isinstance(value, Mapping):
            named: dict[str, Any] = {}
            for count, (name, item) in enumerate(value.items()):
                if self._full(count):
                    named[_CUT] = len(value) - count
                    break
                named[str(self.clean(name, _DEPTH))] = HIDDEN if is_secret(name) else self.clean(item, depth)
            return named
        if isinstance(value, tuple | list) and len(value) == 2 and is_secret(value[0]):
            return [self.clean(value[0]), HIDDEN]  # a header
        items: list[Any] = []
        for count, item in enumerate(value):
            if self._full(count):
                items.append(_CUT)
                break
            items.append(self.clean(item, depth))
        return items

    def _full(self, count: int) -> bool:
        return count >= _ITEMS or self._left <= 0


def _type_name(value: object) -> str:
    return f"<{_escaped(type(value).__name__[:TEXT_CHARACTERS], backslash=True)}>"


def _escaped(text: str, *, backslash: bool) -> str:
    """Nothing but printable characters: controls, separators, marks of direction and lone surrogates are written out.

    Args:
        backslash: whether backslashes are escaped too, so that one can tell them from those of the escapes.
    """
    if text.isprintable() and not (backslash and "\\" in text):
        return text
    return "".join(
        c if c.isprintable() and not (backslash and c == "\\") else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode("ascii")


def _field_text(name: str, value: Any) -> str:
    bare = name == "peer" and isinstance(value, str) and _PLAIN_PEER.fullmatch(value)
    return f"{name if _PLAIN_NAME.fullmatch(name) else _text(name)}={value if bare else _text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        quoted = value.replace("'", "\\'")
        return f"'{quoted}'"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(name)}: {_text(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return repr(value)


# -- text that others wrote: tracebacks, and the messages of other loggers


def _safe_lines(text: str) -> list[str]:
    return [_escaped(safe_path(line), backslash=False) for line in text.split("\n")]


def _traceback_lines(error: BaseException) -> list[str]:
    try:
        lines = "".join(traceback.format_exception(error)).rstrip("\n").split("\n")
    except Exception:  # as it may be when the exception is of an odd class
        return [_type_name(error)]
    left_out = len(lines) - _FIRST_LINES - _LAST_LINES
    if left_out > 0:
        lines[_FIRST_LINES:-_LAST_LINES] = [f"{_CUT} {left_out} lines {_CUT}"]
    cut = (line if len(line) <= _LINE_CHARACTERS else line[:_LINE_CHARACTERS] + _CUT for line in lines)
    return [safe for line in cut for safe in _safe_lines(line)]


def _marked(lines: Iterable[str]) -> list[str]:
    return [MARKER + _ascii(line) for line in lines]


def _trace_of(record: logging.LogRecord) -> list[str]:
    """The lines of a record's traceback, whoever made the record; not what another formatter has left there."""
    if record.exc_info and record.exc_info[1] is not None:
        return _traceback_lines(record.exc_info[1])
    return _safe_lines(record.exc_text) if record.exc_text else []


# -- the command line's log


class TextLines(logging.Formatter):
    """``2026-01-02 03:04:05,678 INFO gameserver.net connection refused peer=1.2.3.4:5``; plain ASCII.

    An event is one line. Further lines (a traceback, or another logger's message of several lines) begin with `MARKER`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, and those of its traceback."""
        message = record.getMessage()
        ours = isinstance(getattr(record, "fields", None), _Clean)
        first, *more = [message] if ours else _safe_lines(message)
        stack = _safe_lines(record.stack_info) if record.stack_info else []
        name = "".join(_safe_lines(record.name))
        head = f"{self.formatTime(record)} {record.levelname} {name} {first}"
        return "\n".join([_ascii(head), *_marked([*more, *_trace_of(record), *stack])])


class JsonLines(JsonFormatter):
    """One JSON object a line, plain ASCII: time (ISO 8601, UTC), level, logger, event, then the fields; ``exception``.

    What other loggers say is the event; what they put into ``extra`` becomes fields, cleaned as all are.
    """

    def __init__(self) -> None:
        super().__init__([], json_ensure_ascii=True)

    def formatException(self, ei: Any) -> str:  # noqa: N802 (the name is the base class's)
        """A traceback without anything that could upset a terminal."""
        return "\n".join(_traceback_lines(ei[1])) if ei[1] is not None else ""

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Fill ``log_data``, which becomes the line, in order."""
        log_data["time"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        fields = getattr(record, "fields", None)
        if isinstance(fields, _Clean):
            log_data["event"] = getattr(record, "event", record.message)
        else:
            log_data["event"] = "\n".join(_safe_lines(record.message))
            said = {name: value for name, value in message_dict.items() if name not in ("exc_info", "stack_info")}
            extra = {name: value for name, value in vars(record).items() if name not in RESERVED_ATTRS}
            fields = _clean_fields({**said, **extra})
        for name, value in fields.items():
            log_data[name + "_" if name in _JSON_KEYS else name] = value
        if trace := _trace_of(record):
            log_data["exception"] = "\n".join(trace)
        if record.stack_info:
            log_data["stack"] = "\n".join(_safe_lines(record.stack_info))


class _CommandLineHandler(logging.StreamHandler[Any]):
    """The handler that `configure_logging` adds, to be known again."""


def configure_logging(level: str, format: Literal["text", "json"]) -> None:
    """Log to stderr, for a program of ours; one that embeds the server sets its own handlers.

    May be called again. Handlers of others stay.

    Args:
        level: the least level that is logged, ``debug`` to ``error``.
        format: `TextLines` for people, `JsonLines` for programs.
    """
    handler = _CommandLineHandler(sys.stderr)
    handler.setFormatter(JsonLines() if format == "json" else TextLines())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _CommandLineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # These log whole messages at debug level, and with them the tokens in hellos and the texts of players.
    for name in ("trio-websocket", "wsproto"):
        logging.getLogger(name).setLevel(max(root.level, logging.INFO))
