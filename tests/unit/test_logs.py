"""The log: whatever players say, a line stays a line, a secret stays one, and nobody fills the disk."""

from __future__ import annotations

import ast
import json
import logging
import pickle
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameserver import logs
from gameserver.logs import (
    FIELD_CHARACTERS,
    HIDDEN,
    MARKER,
    SECRET_WORDS,
    TEXT_CHARACTERS,
    JsonLines,
    LogLimiter,
    TextLines,
    address_of,
    configure_logging,
    log_event,
    reset_limits,
    safe_path,
)
from tests.support.examples import examples

ONE_LINE = re.compile(r"[ -~]*")
SECRET = "Zq7xK"  # no name, word or escape below has it in it

LOGGER = logging.getLogger("gameserver.tests.logs")
LOGGER.propagate = False
LOGGER.setLevel(logging.INFO)


class Kept(logging.Handler):
    """Keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


KEPT = Kept()
LOGGER.addHandler(KEPT)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    reset_limits()
    KEPT.records.clear()
    yield
    reset_limits()


def record_of(event: str = "something", **arguments: Any) -> logging.LogRecord:
    log_event(LOGGER, logging.INFO, event, **arguments)
    record = KEPT.records.pop()
    assert not KEPT.records
    return record


def foreign(message: Any, *arguments: Any, **more: Any) -> logging.LogRecord:
    LOGGER.error(message, *arguments, **more)
    return KEPT.records.pop()


def error_of(text: str) -> ValueError:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def as_json(record: logging.LogRecord) -> dict[str, Any]:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    line = JsonLines().format(record)
    assert ONE_LINE.fullmatch(line)
    parsed: dict[str, Any] = json.loads(line, parse_constant=no_constant)
    return parsed


# -- how a line reads


def test_a_line_reads_well_with_any_formatter() -> None:
    record = record_of("connection refused", peer="1.2.3.4:5", status=403, origin="http://x")
    line = "connection refused peer=1.2.3.4:5 status=403 origin='http://x'"
    assert record.getMessage() == line
    assert logging.Formatter("%(levelname)s %(message)s").format(record) == f"INFO {line}"
    assert vars(record)["event"] == "connection refused"
    assert vars(record)["fields"] == {"peer": "1.2.3.4:5", "status": 403, "origin": "http://x"}
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,\d{{3}} INFO {LOGGER.name} {re.escape(line)}", TextLines().format(record)
    )


def test_a_secret_does_not_hide_the_fields_behind_it() -> None:
    line = rf"something path='/a?token={HIDDEN}' 'b c'='d'"
    record = record_of(path=f"/a?token={SECRET}", **{"b c": "d"})
    assert record.getMessage() == line
    assert TextLines().format(record).endswith(f" {line}")


def test_json_has_its_keys_in_order_and_fields_do_not_take_their_places() -> None:
    parsed = as_json(record_of("seat taken", peer="[::1]:5", time=3, exception="none", room="arena/1"))
    assert list(parsed) == ["time", "level", "logger", "event", "peer", "time_", "exception_", "room"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", parsed.pop("time"))
    assert parsed == {
        "level": "INFO",
        "logger": LOGGER.name,
        "event": "seat taken",
        "peer": "[::1]:5",
        "time_": 3,
        "exception_": "none",
        "room": "arena/1",
    }


def test_the_record_names_the_place_that_logged_it() -> None:
    record = record_of()
    assert (record.funcName, record.filename) == ("record_of", "test_logs.py")


@dataclass
class Request:
    """An object of ours that holds a secret, which its text shows."""

    token: str = SECRET


class Broken(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


class BrokenError(Unprintable, Exception):
    pass


DEEP: list[Any] = []
DEEP.append(DEEP)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", "''"),
        ("Jim", "'Jim'"),
        ('it\'s "it"', r"""'it\'s "it"'"""),
        ("back\\slash\\'", r"'back\\slash\\\''"),
        ("a\r\nb\tc\0d\x1b[31m\x7f\x9b", r"'a\r\nb\tc\x00d\x1b[31m\x7f\x9b'"),
        ("\u202eevil\u2066\u200f\ufeff\u2028\u2029\x85", r"'\u202eevil\u2066\u200f\ufeff\u2028\u2029\x85'"),
        ("Jos\xe9 \u65e5 \U0001f600", r"'Jos\xe9 \u65e5 \U0001f600'"),
        ("\ud83d\ude00\udc80", r"'\ud83d\ude00\udc80'"),
        ("x" * 200, "'" + "x" * 200 + "'"),
        ("x" * 201, "'" + "x" * 200 + "...'"),
        (b"GET /\xff\r\n\\", r"'GET /\xff\r\n\\'"),
        (bytearray(b"\x1b") * 300, "'" + r"\x1b" * 200 + "...'"),
        (memoryview(b"ab"), "'ab'"),
        (None, "None"),
        (True, "True"),
        (-5, "-5"),
        (2**64, "18446744073709551616"),
        ([1 << 20_000], "['<int of 20001 bits>']"),
        (logging.DEBUG, "10"),
        (0.5, "0.5"),
        (float("nan"), "'nan'"),
        (float("-inf"), "'-inf'"),
        (np.int64(7), "7"),
        (np.float32(0.25), "0.25"),
        (np.float32("inf"), "'inf'"),
        (["a", (1, None)], "['a', [1, None]]"),
        ({"a": {2: b"c"}}, "{'a': {'2': 'c'}}"),
        ([[[["deep"]]]], "[[['...']]]"),
        (DEEP, "[[['...']]]"),
        ([0] * 21, f"[{'0, ' * 20}'...']"),
        (dict.fromkeys(range(22), 0), "{" + ", ".join(f"'{n}': 0" for n in range(20)) + ", '...': 2}"),
        (["x" * 200] * 10, "[" + f"'{'x' * 200}', " * 5 + "'...']"),
        (ValueError("no\n"), r"'ValueError: no\n'"),
        (BrokenError(), "'<BrokenError>'"),
        (Broken(), "'<Broken>'"),
        (Request(), "'<Request>'"),
        (Request, "'Request'"),
        (object(), "'<object>'"),
    ],
)
def test_values(value: object, shown: str) -> None:
    record = record_of(value=value)
    assert record.getMessage() == f"something value={shown}"
    assert as_json(record)["value"] == vars(record)["fields"]["value"]


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        ("1.2.3.4:5", "1.2.3.4:5"),
        ("[fe80::1%eth0]:5", "[fe80::1%eth0]:5"),
        ("local", "local"),
        ("1.2.3.4 status=200", "'1.2.3.4 status=200'"),
        ("\n", r"'\n'"),
        ("", "''"),
    ],
)
def test_a_peer_stands_without_quotes_when_it_is_an_address(peer: str, shown: str) -> None:
    assert record_of(peer=peer).getMessage() == f"something peer={shown}"


# -- any text in any place

texts = st.text(st.characters(codec=None))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.binary() | st.integers(), inner, max_size=3),
    max_leaves=6,
)
not_arguments = texts.filter(lambda name: name not in ("logger", "level", "event", "peer", "exc_info"))


@given(texts, st.dictionaries(not_arguments, values, max_size=3))
@examples(150)
def test_any_fields_make_one_printable_line(peer: str, fields: dict[str, Any]) -> None:
    reset_limits()
    record = record_of(peer=peer, **fields)
    for line in (TextLines().format(record), record.getMessage(), logging.Formatter().format(record)):
        assert ONE_LINE.fullmatch(line)
    parsed = as_json(record)
    for name, value in vars(record)["fields"].items():
        assert name.rstrip("_") in ("time", "level", "logger", "event", "exception", "stack") or parsed[name] == value
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', json.dumps(parsed))
    assert all(json.loads(f'"{string}"').isprintable() for string in strings)  # what a terminal sees after `jq -r`


@given(texts | st.binary().map(lambda data: data.decode("latin-1")))
@examples(300)
def test_text_can_be_read_back(text: str) -> None:
    """So an escape is told from text that looks like one, and a quote from the end."""
    shown = record_of(value=text).getMessage().removeprefix("something value=")
    if len(text) <= TEXT_CHARACTERS and not any(word in text.lower() for word in SECRET_WORDS):
        assert ast.literal_eval(shown) == text


@given(texts, texts)
@examples(200)
def test_a_traceback_cannot_forge_a_line(text: str, player: str) -> None:
    error = error_of(f"{text}\n2026-01-02 03:04:05,678 INFO gameserver forged")
    record = record_of(exc_info=error, player=player)
    for formatter in (TextLines(), logging.Formatter("%(levelname)s %(message)s")):
        head, *more = formatter.format(record).split("\n")
        assert ONE_LINE.fullmatch(head)
        assert len(more) >= 4
        assert all(line.startswith(MARKER) and ONE_LINE.fullmatch(line) for line in more)
    parsed = as_json(record)
    assert "ValueError: " in parsed["exception"]
    assert "forged" in parsed["exception"] or len(text) > 200
    assert parsed["exception"].replace("\n", "").isprintable()


@given(texts)
@examples(200)
def test_a_message_of_another_logger_cannot_forge_a_line(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        record = foreign("%s\nsecond", text, exc_info=True, extra={"player": text})
    logging.Formatter().format(record)  # leaves a traceback of its own making in the record
    head, *more = TextLines().format(record).split("\n")
    assert ONE_LINE.fullmatch(head)
    assert all(line.startswith(MARKER) and ONE_LINE.fullmatch(line) for line in more)
    assert len(more) == len(as_json(record)["exception"].split("\n")) + 1 + text.count("\n")


def test_other_loggers_messages_and_extras_become_events_and_fields() -> None:
    parsed = as_json(foreign("moved %d rows", 3, extra={"room": "arena\n", "my_token": SECRET}))
    assert parsed["event"] == "moved 3 rows"
    assert (parsed["room"], parsed["my_token"]) == (r"arena\n", HIDDEN)
    parsed = as_json(foreign({"kind": "dict", "password": SECRET, 1: 2}))
    assert (parsed["kind"], parsed["password"], parsed["1"]) == ("dict", HIDDEN, 2)


def test_a_record_that_went_through_a_queue_reads_the_same() -> None:
    record = record_of(text="\\\x1b'")
    copy = pickle.loads(pickle.dumps(record))
    assert TextLines().format(copy) == TextLines().format(record)
    assert as_json(copy) == as_json(record)


def test_what_a_player_sends_does_not_make_a_long_line() -> None:
    payload: Any = "\U0001f600" * 10_000
    for _ in range(6):
        payload = {f"{n}" * 1000: payload for n in range(30)}
    assert len(record_of(value=payload).getMessage()) < 12 * FIELD_CHARACTERS
    error = error_of("\n".join(["\x1b" * 1000] * 1000))
    trace = as_json(record_of(exc_info=error))["exception"].split("\n")
    assert len(trace) <= 201
    assert max(map(len, trace)) <= 4 * 300 + 3
    assert trace[0].startswith("Traceback")


def test_an_exception_that_cannot_be_told_costs_nothing_but_its_text() -> None:
    error = SyntaxError("x")
    error.lineno = Unprintable()  # type: ignore[assignment]
    assert as_json(record_of(exc_info=error))["exception"] == "<SyntaxError>"
    assert "BrokenError: <exception str() failed>" in as_json(record_of(exc_info=BrokenError()))["exception"]


def test_true_stands_for_the_exception_being_handled() -> None:
    error = error_of("this one")
    try:
        raise error
    except ValueError:
        record = record_of(exc_info=True)
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert "ValueError: this one" in as_json(record)["exception"]
    for nothing in (None, False, True):
        assert record_of(exc_info=nothing).exc_info is None


# -- secrets

secret_names = st.builds(
    lambda before, word, after, upper: before + (word.upper() if upper else word.title()) + after,
    *(st.sampled_from(["", "access_", "X-Auth-", "\n", "client"]), st.sampled_from(SECRET_WORDS)),
    *(st.sampled_from(["", "s", "_2", "\x1b"]), st.booleans()),
)


@st.composite
def holding_a_secret(draw: st.DrawFn) -> Any:
    """Something with a secret in it, under a name that says so, at any depth."""
    name: Any = draw(secret_names)
    key = name.encode("latin-1") if draw(st.booleans()) else name
    secret = draw(st.sampled_from([SECRET, SECRET.encode(), [SECRET], {"a": SECRET}]))
    escaped = quote(name, safe="") if draw(st.booleans()) else name
    path = f"/arena?room=1&{escaped}{draw(st.sampled_from(['=', '%3d', '%3D']))}{SECRET}"
    value = draw(
        st.sampled_from(
            [{key: secret}, [(key, secret)], [key, secret], path, path.encode("latin-1"), error_of(path), {path: 1}]
        )
    )
    for _ in range(draw(st.integers(0, 4))):
        value = draw(st.sampled_from([{"inner": value}, [value], (1, value), [("header", value)]]))
    return value


@given(holding_a_secret(), secret_names)
@examples(300)
def test_secrets_are_never_shown(value: Any, name: str) -> None:
    said = f"no seat for /a?{quote(name)}={SECRET}"
    record = record_of(value=value, exc_info=error_of(said), **{name: SECRET})
    assert SECRET not in record.getMessage()
    assert HIDDEN in record.getMessage()
    assert SECRET not in str(vars(record)["fields"])
    assert SECRET not in JsonLines().format(record)
    assert SECRET not in TextLines().format(record)
    assert SECRET not in TextLines().format(foreign(said))


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/arena", "/arena"),
        ("", ""),
        ("/token=1/arena", "/token=1/arena"),
        ("/arena?room=secret&x=1", "/arena?room=secret&x=1"),
        ("/arena?token=abc", f"/arena?token={HIDDEN}"),
        ("/arena?token=", f"/arena?token={HIDDEN}"),
        ("/arena?token", "/arena?token"),
        ("/arena?a=1&Access_Token=b=c&d=2", f"/arena?a=1&Access_Token={HIDDEN}&d=2"),
        ("/arena?token=a?b;c#d", f"/arena?token={HIDDEN}"),
        ("/arena?a=1;token=b&c=d", f"/arena?a=1;token={HIDDEN}&c=d"),
        ("/arena;token=b?c=d", f"/arena;token={HIDDEN}"),
        ("/arena#access_token=b&c=d", f"/arena#access_token={HIDDEN}&c=d"),
        ("/arena?a=b#id_token=c", f"/arena?a=b#id_token={HIDDEN}"),
        ("/arena?%74oken=b", f"/arena?%74oken={HIDDEN}"),
        ("/arena?token%3Db", f"/arena?token%3D{HIDDEN}"),
        ("/in?next=%2Farena%3Ftoken%3Db&c=d", f"/in?next=%2Farena%3Ftoken%3D{HIDDEN}&c=d"),
        ("http://x/?password=a&client_secret=b", f"http://x/?password={HIDDEN}&client_secret={HIDDEN}"),
    ],
)
def test_paths(path: str, shown: str) -> None:
    assert safe_path(path) == shown
    assert safe_path(shown) == shown


@given(st.lists(st.tuples(st.text(min_size=1) | secret_names, st.text()), max_size=5))
@examples(100)
def test_what_a_query_says_besides_secrets_stays(pairs: list[tuple[str, str]]) -> None:
    shown = parse_qsl(safe_path("/arena?" + urlencode(pairs)).partition("?")[2], keep_blank_values=True)
    for (name, value), (name_shown, value_shown) in zip(pairs, shown, strict=True):
        assert name_shown == name
        assert value_shown == (HIDDEN if logs.is_secret(name) else value)


# -- how many lines


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("1.2.3.4:5", "1.2.3.4"),
        ("1.2.3.4", "1.2.3.4"),
        ("[::1]:5", "::1"),
        ("::1", "::1"),
        ("2001:db8::1:5", "2001:db8::1:5"),
        ("local", "local"),
        ("", ""),
        (":5", ":5"),
    ],
)
def test_addresses(peer: str, address: str) -> None:
    assert address_of(peer) == address


steps = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.sampled_from([0, 0, 0, 0.1, 0.5, 3])))


@given(steps, st.integers(1, 5), st.floats(0.1, 5), st.integers(1, 12), st.floats(1, 20), st.floats(0, 1e6))
@examples(300)
def test_nobody_gets_more_lines_than_allowed_and_each_suppressed_line_is_told_once(
    sequence: list[tuple[int, str, float]], burst: int, per_second: float, peers: int, total: float, now: float
) -> None:
    limiter = LogLimiter(per_second, burst, peers, total)
    admitted: dict[Any, list[float]] = {}
    suppressed: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for number, (peer, event, wait) in enumerate(sequence):
        now += wait
        answer = limiter.admit(f"10.0.0.{peer}:{number}", event, now)
        if answer is None:
            suppressed[event] += 1
        else:
            told[event] += answer
            admitted.setdefault(event, []).append(now)
            admitted.setdefault((peer, event), []).append(now)
        assert len(limiter) <= peers
    for (_, event), quota in limiter._of_peers.items():
        told[event] += quota.suppressed
    for event in {event for _, event, _ in sequence}:
        assert told[event] + limiter.take_forgotten(event) == suppressed[event]
        assert limiter.take_forgotten(event) == 0
    for key, times in admitted.items():
        most, rate = (total, total) if isinstance(key, str) else (burst, per_second)
        if isinstance(key, str) or peers == 12:  # then nobody is forgotten
            for first, begin in enumerate(times):
                for last, end in enumerate(times[first:], first):
                    assert last - first + 1 <= most + rate * (end - begin) + 1e-6


def test_a_peer_has_its_burst_and_then_a_line_a_second() -> None:
    limiter = LogLimiter()
    assert [limiter.admit("1.2.3.4:5", "refused", 100.0) for _ in range(7)] == [0, 0, 0, 0, 0, None, None]
    assert limiter.admit("1.2.3.4:6", "refused", 100.5) is None
    assert limiter.admit("1.2.3.4:5", "closed", 100.5) == 0
    assert limiter.admit("1.2.3.5:5", "refused", 100.5) == 0
    assert limiter.admit("1.2.3.4:7", "refused", 101.0) == 3
    assert limiter.admit("1.2.3.4:5", "refused", 101.0) is None
    assert limiter.admit("1.2.3.4:5", "refused", 50.0) is None  # a clock that goes back gives nothing
    assert [limiter.admit("1.2.3.4:5", "refused", 500.0) for _ in range(7)] == [2, 0, 0, 0, 0, None, None]


def test_thousands_of_peers_share_a_bound_and_are_forgotten() -> None:
    limiter = LogLimiter()
    lines = [limiter.admit(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "refused", n / 10_000) for n in range(20_000)]
    assert sum(answer is not None for answer in lines) in range(140, 151)  # 50 at once and 50 a second
    assert len(limiter) == 1024
    assert 18_800 < limiter.take_forgotten("refused") < 20_000
    assert limiter.admit("10.0.0.1", "closed", 2.0) == 0


def test_who_was_silent_for_longest_is_forgotten_first() -> None:
    limiter = LogLimiter(burst=1, peers=2)
    answers = [limiter.admit(peer, "refused", 0.0) for peer in ("a", "b", "a", "c", "a", "b")]
    assert answers == [0, 0, None, 0, None, 0]


def test_events_that_are_not_fixed_texts_do_not_fill_the_memory() -> None:
    limiter = LogLimiter()
    for n in range(10_000):
        assert limiter.admit("1.2.3.4", f"event {n}", 0.0) == 0
    assert len(limiter._of_events) <= 256
    assert len(limiter) == 1024


def test_lines_of_a_peer_are_limited_tracebacks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(logs.time, "monotonic", lambda: now)
    for port in range(8):
        log_event(LOGGER, logging.ERROR, "dropped", peer=f"1.2.3.4:{port}", exc_info=error_of("x"))
    assert len(KEPT.records) == 5
    now += 1
    log_event(LOGGER, logging.INFO, "dropped", peer="1.2.3.4:9")
    assert KEPT.records[-1].getMessage() == "dropped peer=1.2.3.4:9 suppressed=3"
    for _ in range(20):
        log_event(LOGGER, logging.INFO, "dropped")
    assert len(KEPT.records) == 26


def test_a_line_tells_of_lines_suppressed_of_peers_long_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(logs.time, "monotonic", lambda: now)
    for n in range(1100):
        log_event(LOGGER, logging.INFO, "refused", peer=f"10.0.{n // 250}.{n % 250}:1")
    assert len(KEPT.records) == 50
    now += 10
    log_event(LOGGER, logging.INFO, "refused", peer="1.2.3.4:9")
    assert KEPT.records[-1].getMessage() == "refused peer=1.2.3.4:9 suppressed_of_others=27"  # 1101 - 1024 - 50


def test_a_line_that_is_off_costs_nothing() -> None:
    for _ in range(100):
        log_event(LOGGER, logging.DEBUG, "dropped", peer="1.2.3.4:5", value=Broken())
    assert not KEPT.records
    assert len(logs._limiter) == 0


# -- the command line's log


@pytest.fixture
def _log_as_before() -> Iterator[None]:
    names = (None, "trio-websocket", "wsproto")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers
    for name in names:
        logging.getLogger(name).setLevel(levels[name])


@pytest.mark.usefixtures("_log_as_before")
@pytest.mark.parametrize("times", [1, 3])
def test_the_command_lines_log_is_on_stderr_once(capsys: pytest.CaptureFixture[str], times: int) -> None:
    before = list(logging.getLogger().handlers)
    for _ in range(times):
        configure_logging("info", "text")
    log_event(logging.getLogger("gameserver.net"), logging.INFO, "refused", peer="1.2.3.4:5", name="Jos\xe9\n")
    log_event(logging.getLogger("gameserver.net"), logging.DEBUG, "not shown")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(r" INFO gameserver.net refused peer=1.2.3.4:5 name='Jos\xe9\n'")
    assert logging.getLogger().handlers[:-1] == before


@pytest.mark.usefixtures("_log_as_before")
def test_the_command_lines_log_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "json")
    log_event(logging.getLogger("gameserver.net"), logging.WARNING, "dropped", exc_info=error_of("x\ny"))
    logging.getLogger("somebody").warning("else's")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["exception"].endswith("ValueError: x\ny")
    assert (second["logger"], second["event"]) == ("somebody", "else's")


@pytest.mark.usefixtures("_log_as_before")
@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_libraries_that_log_whole_messages_are_never_at_debug(level: str) -> None:
    configure_logging(level, "text")
    for name in ("trio-websocket", "wsproto"):
        assert logging.getLogger(name).getEffectiveLevel() == max(logging.INFO, getattr(logging, level.upper()))
    assert logging.getLogger("gameserver").getEffectiveLevel() == getattr(logging, level.upper())
