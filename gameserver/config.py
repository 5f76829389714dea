"""Settings: from flags, then the environment, then a TOML file, then defaults. Checked before anything starts. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gameserver.net.limits import Limits

#: What the environment's variables begin with: ``TICKWIRE_PORT=9000``.
ENVIRONMENT_PREFIX: Final = "TICKWIRE_"

#: What ``gameserver run`` serves when nothing is named.
BUNDLED_GAME: Final = "gameserver.demo.arena:Arena"


_LIMITS: Final = Limits()
#: Settings that are lists; in the environment their items stand between spaces.
_LISTS: Final = ("rooms", "origins", "trusted_proxies")


class SettingsError(Exception):
    """A setting is wrong; the text names it, where it came from, and what it may be."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a server can be told.

    Attributes:
        rooms: room classes as ``module:Class`` or ``name=module:Class``; served under the name, or under the
            class name in lower case.
        host: address to listen on; ``0.0.0.0`` for all of IPv4.
        port: 1 to 65535, or 0 for any free one.
        tick_rate: ticks per second of all rooms, 1 to 240; None for what each room declares.
        seed: of all rooms' generators; None for a new one each time.
        log_level: the least level that is logged.
        log_format: ``text`` for people, ``json`` for programs: one object a line.
        authenticate: who says who players are, as ``module:function``; None to let anybody in.
        origins: web pages that may connect, as ``https://game.example``; none for those of the same host and of the
            visitor's own machine, ``*`` for all.
        trusted_proxies: addresses or networks whose ``X-Forwarded-For`` is believed.
        tls_cert, tls_key: PEM files, read again on SIGHUP; the server speaks wss:// then.
        static: a folder of files for browsers, with an index.html for ``/``.
        drain_seconds: how long rooms may go on after SIGTERM, and closing with them.
        watchdog_seconds: a tick that takes longer is logged with its room and stack; 0 for no watchdog.
        max_connections, max_connections_per_address, max_rooms, connects_per_second, connects_per_second_per_address,
            messages_per_second, bytes_per_second, dead_seconds: see `gameserver.Limits`.
    """

    rooms: Annotated[tuple[str, ...], Meta(min_length=1)] = (BUNDLED_GAME,)
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8765
    tick_rate: Annotated[float, Meta(ge=1, le=240)] | None = None
    seed: int | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    authenticate: str | None = None
    origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    tls_cert: str | None = None
    tls_key: str | None = None
    static: Annotated[str, Meta(min_length=1)] | None = None
    drain_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 10.0
    watchdog_seconds: Annotated[float, Meta(ge=0)] = 1.0
    max_connections: Annotated[int, Meta(ge=0)] = _LIMITS.connections
    max_connections_per_address: Annotated[int, Meta(ge=1)] = _LIMITS.connections_per_address
    max_rooms: Annotated[int, Meta(ge=1)] = _LIMITS.rooms
    connects_per_second: Annotated[float, Meta(gt=0)] = _LIMITS.connects_per_second
    connects_per_second_per_address: Annotated[float, Meta(gt=0)] = _LIMITS.connects_per_second_per_address
    messages_per_second: Annotated[float, Meta(gt=0)] = _LIMITS.messages_per_second
    bytes_per_second: Annotated[float, Meta(gt=0)] = _LIMITS.bytes_per_second
    dead_seconds: Annotated[float, Meta(ge=3)] = _LIMITS.dead_seconds

    def limits(self) -> Limits:
        """The limits among the settings."""
        return Limits(
            connections=self.max_connections,
            connections_per_address=self.max_connections_per_address,
            rooms=self.max_rooms,
            connects_per_second=self.connects_per_second,
            connects_per_second_per_address=self.connects_per_second_per_address,
            messages_per_second=self.messages_per_second,
            bytes_per_second=self.bytes_per_second,
            dead_seconds=self.dead_seconds,
        )


def load_settings(flags: Mapping[str, Any], environment: Mapping[str, str], toml_path: str | None) -> Settings:
    """Put the settings together.

    Args:
        flags: from the command line, by setting name; None for those that were not given.
        environment: all variables; those that begin with `ENVIRONMENT_PREFIX` count.
        toml_path: a file whose ``[server]`` table (or top level) holds settings; None for no file.
    Raises:
        SettingsError: a value is wrong, a name is unknown, or the file cannot be read.
    """
    values: dict[str, Any] = {}
    if toml_path is not None:
        values |= _checked(_read_toml(toml_path), toml_path, strict=True)
    values |= _checked(_from_environment(environment), "the environment", strict=False)
    given = {name: value for name, value in flags.items() if value is not None}
    values |= _checked(given, "the command line", strict=True)
    return msgspec.convert(values, Settings)


def _checked(values: Mapping[str, Any], source: str, *, strict: bool) -> dict[str, Any]:
    """``values`` of the right types; each is checked alone, so that the error can name it and where it came from."""
    known = {field.name: field for field in msgspec.structs.fields(Settings)}
    checked = {}
    for name, value in values.items():
        shown = f"{ENVIRONMENT_PREFIX}{name.upper()}" if source == "the environment" else name
        if name not in known:
            raise SettingsError(f"{shown} (from {source}) is not a setting; there are {', '.join(known)}")
        try:
            checked[name] = msgspec.convert(value, known[name].type, strict=strict)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{shown} = {value!r} (from {source}): {error}") from None
    return checked


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, value in environment.items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if variable.startswith(ENVIRONMENT_PREFIX) and name != "config":
            found[name] = value.split() if name in _LISTS else value
    return found


def _read_toml(path: str) -> Mapping[str, Any]:
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} is not TOML: {error}") from None
    table = document.get("server", document)
    if not isinstance(table, dict):
        raise SettingsError(f"server in {path} must be a table: [server]")
    return table
