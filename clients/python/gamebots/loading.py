"""Which bots, and which scenario: what fits the room, or the user's own (``FILE.py:Class``, ``module:Class``)."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from gamebots.arena_bot import ArenaBot
from gamebots.bots import Bot, MakeBot, RandomBot
from gamebots.scenarios import Scenario
from gameprotocol import Schema

T = TypeVar("T")


def make_bot(schema: Schema, player: int, seed: int) -> Bot:
    """A bot that can play the room: one that knows the game, or one that presses random keys."""
    return ArenaBot(schema, player, seed) if ArenaBot.plays(schema) else RandomBot(schema, player, seed)


def load_bot(path: str) -> MakeBot:
    """What makes bots.

    Args:
        path: ``FILE.py:Class`` or ``module:Class`` of a subclass of `Bot`; ``FILE.py`` when it has only one. In place
            of a class, a function that takes schema, player number and seed, and gives a bot.
    Raises:
        ValueError: there is none; the text says what is wrong and what to write.
    """
    found = _load(path, Bot, "bot")
    if isinstance(found, type):
        _check_constructor(path, found)
        return found
    return _checked(path, found)


def load_scenario(path: str) -> type[Scenario]:
    """The class of a scenario.

    Args:
        path: ``FILE.py`` that has one subclass of `gamebots.scenarios.Scenario`, or as for `load_bot`.
    Raises:
        ValueError: as for `load_bot`.
    """
    found = _load(path, Scenario, "scenario")
    if not isinstance(found, type):
        raise ValueError(f"{path} is no class: a scenario subclasses gamebots.scenarios.Scenario")
    return found


def _load(path: str, base: type[T], kind: str) -> Any:
    """The class that ``path`` means, or a function; ValueError when there is none."""
    where, name = _split(path)
    if where.endswith(".py"):
        module = _import_file(path, Path(where))
    elif where and name:
        module = _import_module(path, where)
    else:
        raise ValueError(f"{path!r} is no {kind}: write FILE.py:Class or module:Class, for example my_{kind}s.py:Mine")
    theirs = _subclasses(module, base)
    if not name:
        return _only(where, theirs, kind)
    found = getattr(module, name, None)
    if found is None:
        near = difflib.get_close_matches(name, theirs, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(f"{where} has no {name}; its {kind}s are: {', '.join(theirs) or 'none'}{meant}")
    if isinstance(found, type) and not issubclass(found, base):
        raise ValueError(f"{path} is no {kind}: write class {name}({base.__name__}), from {base.__module__}")
    if not callable(found):
        raise ValueError(
            f"{path} is of type {type(found).__name__}, not a {kind}; there are: {', '.join(theirs) or 'none'}"
        )
    return found


def _split(path: str) -> tuple[str, str]:
    """File or module, and class; the colon behind a drive's letter is neither's."""
    where, colon, name = path.rpartition(":")
    if not colon or path.endswith(".py"):
        return path, ""
    return where, name


def _subclasses(module: ModuleType, base: type[T]) -> dict[str, type[T]]:
    """Classes that a module defines itself: what it imports are others' bots."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if isinstance(thing, type) and issubclass(thing, base) and thing.__module__ == module.__name__
    }


def _only(where: str, theirs: dict[str, type[T]], kind: str) -> type[T]:
    if len(theirs) == 1:
        return next(iter(theirs.values()))
    if not theirs:
        raise ValueError(f"{where} has no {kind}: a class in it must be a subclass of {kind.capitalize()}")
    raise ValueError(f"{where} has {len(theirs)} {kind}s: say which, as in {where}:{next(iter(theirs))}")


def _import_file(path: str, file: Path) -> ModuleType:
    """Run a file once and give its module; its neighbours can be imported, as when Python runs it."""
    if not file.is_file():
        raise ValueError(f"no file {file} (for {path}) in {Path.cwd()}")
    resolved = file.resolve()
    # A name that no other file has, and the same in each process: instances of its classes travel between them.
    name = f"_gamebots_{file.stem}_{hashlib.sha256(str(resolved).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if str(resolved.parent) not in sys.path:
        sys.path.insert(0, str(resolved.parent))
    spec = importlib.util.spec_from_file_location(name, resolved)
    assert spec is not None  # it ends with .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ValueError(_why(path, error)) from error
    return module


def _import_module(path: str, name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: a module in the current folder is found
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name + ".").startswith(error.name + "."):
            raise ValueError(f"no module {name!r} (for {path}) here or installed; a file is FILE.py:Class") from None
        raise ValueError(_why(path, error)) from error
    except Exception as error:
        raise ValueError(_why(path, error)) from error


def _why(path: str, error: Exception) -> str:
    """What stopped an import, and the line of the user's own code at which it did."""
    if isinstance(error, SyntaxError):
        return f"cannot load {path}: {Path(error.filename or '').name}, line {error.lineno}: {error.msg}"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    at = next((f"{Path(f.filename).name}, line {f.lineno}: " for f in reversed(own) if f.filename != __file__), "")
    return f"cannot load {path}: {at}{type(error).__name__}: {error}"


def _check_constructor(path: str, found: type) -> None:
    try:
        inspect.signature(found).bind(None, 1, 0)
    except TypeError as error:
        raise ValueError(
            f"{path} cannot be made from schema, player and seed ({error}): set it up in on_join instead of __init__"
        ) from None


def _checked(path: str, function: Any) -> MakeBot:
    """A function that makes bots, and says so when it made something else."""

    def make(schema: Any, player: int, seed: int) -> Bot:
        made = function(schema, player, seed)
        if not isinstance(made, Bot):
            raise TypeError(f"{path} gave {type(made).__name__}, not a Bot")
        return made

    return cast(MakeBot, make)
