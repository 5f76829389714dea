"""Settings: which source wins, and what one is told of a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gameserver.config import BUNDLED_GAME, Settings, SettingsError, load_settings


def toml(folder: Path, text: str) -> str:
    path = folder / "settings.toml"
    path.write_text(text)
    return str(path)


def test_without_anything_there_are_defaults() -> None:
    assert load_settings({}, {}, None) == Settings(
        rooms=(BUNDLED_GAME,), host="127.0.0.1", port=8765, tick_rate=None, seed=None, log_level="info"
    )


@pytest.mark.parametrize(
    ("name", "in_toml", "in_environment", "flag"),
    [
        ("rooms", '["a:A"]', "b:B", ["c:C"]),
        ("host", '"a"', "b", "c"),
        ("port", "1", "2", 3),
        ("tick_rate", "10", "20.5", 30.0),
        ("seed", "-1", "2", 3),
        ("log_level", '"debug"', "warning", "error"),
    ],
)
def test_flags_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, name: str, in_toml: str, in_environment: str, flag: Any
) -> None:
    path = toml(tmp_path, f"{name} = {in_toml}")
    variables = {f"TICKWIRE_{name.upper()}": in_environment, "TICKWIRE_CONFIG": "ignored here", "PATH": "/bin"}
    results = [
        getattr(load_settings(flags, environment, file), name)
        for flags, environment, file in (
            ({}, {}, path),
            ({}, variables, path),
            ({name: flag}, variables, path),
            ({name: None}, variables, path),
        )
    ]
    wanted: list[Any] = {
        "rooms": [("a:A",), ("b:B",), ("c:C",), ("b:B",)],
        "host": ["a", "b", "c", "b"],
        "port": [1, 2, 3, 2],
        "tick_rate": [10.0, 20.5, 30.0, 20.5],
        "seed": [-1, 2, 3, 2],
        "log_level": ["debug", "warning", "error", "warning"],
    }[name]
    assert results == wanted


def test_sources_are_merged_setting_by_setting(tmp_path: Path) -> None:
    path = toml(tmp_path, '[server]\nport = 1\nhost = "a"\nseed = 5\n[other]\nx = 1')
    settings = load_settings({"port": 3}, {"TICKWIRE_HOST": "b"}, path)
    assert (settings.port, settings.host, settings.seed, settings.log_level) == (3, "b", 5, "info")


def test_several_rooms_from_the_environment() -> None:
    assert load_settings({}, {"TICKWIRE_ROOMS": " a:A  other=b:B "}, None).rooms == ("a:A", "other=b:B")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 65536),
        ("port", "80"),
        ("port", True),
        ("port", 1.5),
        ("host", 5),
        ("host", ""),
        ("tick_rate", 0),
        ("tick_rate", 241),
        ("tick_rate", float("nan")),
        ("tick_rate", float("inf")),
        ("tick_rate", "20"),
        ("seed", 1.5),
        ("log_level", "loud"),
        ("log_level", "INFO"),
        ("rooms", "a:A"),
        ("rooms", []),
        ("rooms", [5]),
        ("colour", 1),
    ],
)
def test_a_wrong_value_is_named_with_its_source(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value}, {}, None)
    assert name in str(caught.value)
    assert "the command line" in str(caught.value)
    literal = str(value).lower() if isinstance(value, (bool, float)) else repr(value)
    path = toml(tmp_path, f"[server]\n{name} = {literal}")
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {}, path)
    assert name in str(caught.value)
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TICKWIRE_PORT", "many"),
        ("TICKWIRE_PORT", ""),
        ("TICKWIRE_PORT", "70000"),
        ("TICKWIRE_TICK_RATE", "nan"),
        ("TICKWIRE_TICK_RATE", "0"),
        ("TICKWIRE_SEED", "1.5"),
        ("TICKWIRE_HOST", ""),
        ("TICKWIRE_ROOMS", "  "),
        ("TICKWIRE_LOG_LEVEL", "loud"),
        ("TICKWIRE_COLOUR", "red"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {variable: value}, None)
    assert variable in str(caught.value)
    assert "the environment" in str(caught.value)


def test_a_wrong_value_is_an_error_even_if_another_source_would_win(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="port"):
        load_settings({"port": 1}, {}, toml(tmp_path, "port = 'x'"))
    with pytest.raises(SettingsError, match="TICKWIRE_PORT"):
        load_settings({"port": 1}, {"TICKWIRE_PORT": "x"}, None)


@pytest.mark.parametrize("text", ["port = ", "[server", "port = 1\nport = 2", "server = 5", "server = [1]"])
def test_a_file_that_is_no_settings_file_is_named(tmp_path: Path, text: str) -> None:
    path = toml(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {}, path)
    assert path in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name in ("nowhere.toml", "", "bytes"):
        path = str(tmp_path / name)
        with pytest.raises(SettingsError) as caught:
            load_settings({}, {}, path)
        assert path in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().port = 5  # type: ignore[misc]
