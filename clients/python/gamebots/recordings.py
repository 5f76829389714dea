"""Inputs of people, read from a file and played again by bots. `gamebots.recorder` makes such files.

A recording is a text file of JSON lines. The first one says what it is a recording of::

    {"format": "gamebots-recording/1", "room": "arena", "tick_rate": 20.0, "input": {"name": "Steer", "fields": [...]}}

and each of the others is one input: who made it (connections are numbered from 0), when (seconds since the first one of
the same connection), and its values in the order of the fields; bytes are base64::

    {"player": 0, "at": 0.050, "values": [0.5, true, false]}
"""

from __future__ import annotations

import base64
import functools
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from gamebots.bots import Bot, InputFields, MakeBot
from gamebots.recorder import FORMAT
from gamebots.recorder import InputTap as InputTap
from gamebots.recorder import Recorder as Recorder
from gameclient import InputError
from gameprotocol import InputSchema, Replica, Schema

#: How many inputs of a bot an input may be moved to where none is, so that jitter does not merge it with its neighbour.
_MOVED: Final = 1.5
#: Longest track, in seconds.
_LONGEST_SECONDS: Final = 86400.0

#: Inputs of one connection: seconds since the first of them, and values.
Track: TypeAlias = Sequence[tuple[float, list[Any]]]


class Recording:
    """What players of one room did.

    Attributes:
        room: the room type's name.
        input: the room's input at that time.
        tick_rate: ticks a second; 0 for a room that ticks when something happens.
        tracks: the inputs of each connection that made some.
    """

    def __init__(self, room: str, input: InputSchema, tracks: Sequence[Track], tick_rate: float = 20.0) -> None:
        self.room = room
        self.input = input
        self.tick_rate = tick_rate
        self.tracks = tuple(track for track in tracks if track)
        self._fits: InputSchema | None = None
        self._timelines: dict[tuple[int, float], list[list[Any]]] = {}

    @property
    def inputs(self) -> int:
        """How many there are."""
        return sum(len(track) for track in self.tracks)

    @property
    def seconds(self) -> float:
        """Length of the longest track."""
        return max((self._length(track) for track in self.tracks), default=0.0)

    def check_fits(self, schema: InputSchema | None) -> None:
        """See that a room takes these inputs.

        Raises:
            ValueError: it does not; the text names the field.
        """
        if schema is not None and schema == self._fits:
            return
        again = "record it again"
        if schema is None:
            raise ValueError(f"the recording is of {self.input.name}, and this room takes no inputs")
        here, there = [field.name for field in schema.fields], [field.name for field in self.input.fields]
        for name in here:
            if name not in there:
                raise ValueError(f"{schema.name}.{name} is not in the recording, which has {', '.join(there)}: {again}")
        for name in there:
            if name not in here:
                raise ValueError(f"{schema.name} has no {name!r}, which the recording has: {again}")
        for ours, theirs in zip(schema.fields, self.input.fields, strict=True):
            if ours.name != theirs.name:
                raise ValueError(f"{schema.name}.{ours.name} is at the place of {theirs.name!r}: {again}")
            if ours.type != theirs.type:
                raise ValueError(f"{schema.name}.{ours.name} is {ours.type}, in the recording {theirs.type}: {again}")
        fields = InputFields(schema)
        try:
            for track in self.tracks:
                for _, values in track:
                    fields.complete(values, "the recording")
        except InputError as error:
            raise ValueError(f"{error} any more: {again}") from None
        self._fits = schema

    def timeline(self, track: int, rate: float) -> list[list[Any]]:
        """The values of one track at ``rate`` inputs a second, from its first input to its end.

        Inputs that came too close after one another are put side by side where there is room, else merged as clients
        do it: a bool is true if one of them had it true, of other fields the later counts. Where none came there is
        what the server made of that: the last one again, or defaults.
        """
        found = self._timelines.get((track, rate))
        if found is None:
            found = self._timelines[track, rate] = self._lay_out(self.tracks[track], rate)
        return found

    def _lay_out(self, track: Track, rate: float) -> list[list[Any]]:
        # The last input has a place of its own also where inputs are rarer than they were recorded.
        places: list[list[Any] | None] = [None] * max(round(self._length(track) * rate), int(track[-1][0] * rate) + 1)
        newest = -1
        for seconds, values in track:
            exact = seconds * rate
            place = max(round(exact), newest + 1)
            if place < len(places) and place - exact <= _MOVED:
                places[place], newest = values, place
            else:
                places[newest] = _merged(places[newest], values)
        laid: list[list[Any]] = []
        neutral = [field.default for field in self.input.fields]
        for place_values in places:
            missing = laid[-1] if laid and self.input.missing == "repeat" else neutral
            laid.append(missing if place_values is None else place_values)
        return laid

    def _length(self, track: Track) -> float:
        return track[-1][0] + 1.0 / (self.tick_rate or 20.0)


def _merged(earlier: list[Any] | None, later: list[Any]) -> list[Any]:
    return [new or old if type(new) is bool else new for old, new in zip(earlier or later, later, strict=True)]


class ReplayBot(Bot):
    """Plays a recording in a circle, beginning anywhere in all that was played, so that bots do different things.

    Args:
        schema, player, seed: as of `Bot`; the seed says where to begin.
        recording: of a room with the same input.
    Raises:
        ValueError: the room's input is another one; the text names the field.
    """

    def __init__(self, schema: Schema, player: int, seed: int, recording: Recording) -> None:
        super().__init__(schema, player, seed)
        if not recording.tracks:
            raise ValueError("the recording has no inputs")
        recording.check_fits(schema.input)
        self._recording = recording
        self._line: list[list[Any]] = []
        self._at = 0

    def next_input(self, world: Replica | None) -> list[Any]:
        if not self._line:  # the rate is known by now
            lines = [self._recording.timeline(track, self.rate) for track in range(len(self._recording.tracks))]
            (self._line,) = self.random.choices(lines, [len(line) for line in lines])
            self._at = self.random.randrange(len(self._line))
        values = self._line[self._at]
        self._at = (self._at + 1) % len(self._line)
        return values


def replay_bots(recording: Recording) -> MakeBot:
    """What makes bots that play it."""
    return functools.partial(ReplayBot, recording=recording)


# -- files -------------------------------------------------------------------------------------------------------------


def read_recording(path: str | Path) -> Recording:
    """Read a file that ``gamebots proxy --record`` wrote.

    Raises:
        ValueError: it is not there, is no recording, or has no inputs; the text says which, and the line.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no recording: it is not text") from None
    return parse_recording(text, str(path))


def parse_recording(text: str, name: str) -> Recording:
    """The recording that a file's text is; ``name`` is the file's, for errors. Raises as `read_recording`."""
    lines = text.split("\n")[:-1]  # what has no end is what a recorder wrote last when it was killed
    try:
        header = _read_header(lines[0] if lines else "")
    except ValueError as error:
        raise ValueError(f"{name} is no recording of gamebots proxy --record: {error}") from None
    tracks = _read_tracks(name, lines[1:], header.input)
    if not tracks:
        raise ValueError(f"{name} has no inputs: nobody played while it was recorded")
    return Recording(header.room, header.input, tracks, header.tick_rate)


class _Header(msgspec.Struct):
    format: str
    room: str
    tick_rate: Annotated[float, Meta(ge=0, le=10_000)]
    input: InputSchema


class _InputLine(msgspec.Struct):
    player: int
    at: Annotated[float, Meta(ge=0, le=_LONGEST_SECONDS)]
    values: list[Any]


def _read_header(line: str) -> _Header:
    """ValueError when it is none."""
    try:
        header = msgspec.json.decode(line, type=_Header)
        if header.format != FORMAT:
            raise ValueError(f"its format is {header.format!r}, not {FORMAT!r}")
        schema = header.input
        fields = [
            msgspec.structs.replace(field, default=base64.b64decode(field.default)) if field.type == "bytes" else field
            for field in schema.fields
        ]
        header.input = msgspec.structs.replace(schema, fields=tuple(fields))
    except (msgspec.DecodeError, TypeError) as error:
        raise ValueError(f"its first line is not a recording's ({error})") from None
    return header


def _read_tracks(name: str, lines: list[str], schema: InputSchema) -> list[Track]:
    fields = InputFields(schema)
    bins = [index for index, field in enumerate(schema.fields) if field.type == "bytes"]
    read = msgspec.json.Decoder(_InputLine).decode
    tracks: dict[int, list[tuple[float, list[Any]]]] = {}
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        try:
            found = read(line)
            for index in bins[: bisect_left(bins, len(found.values))]:
                found.values[index] = base64.b64decode(found.values[index], validate=True)
            values = fields.complete(found.values, "the recording")
            track = tracks.setdefault(found.player, [])
            if not found.at >= (track[-1][0] if track else 0.0):
                raise ValueError("it goes back in time")
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name}, line {number}: {error}") from None
        track.append((found.at, values))
    return [tracks[player] for player in sorted(tracks)]
