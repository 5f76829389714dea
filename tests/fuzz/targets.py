"""All targets by name, each with where its inputs come from.

A target is a function of bytes. Its first line says its invariant; it raises whenever the parser does something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hypothesis.strategies import SearchStrategy

from tests.fuzz import from_clients, from_servers
from tests.fuzz.corpus import corpus
from tests.fuzz.mutations import mutated_bytes, mutated_messages, mutated_msgpack

Inputs = Callable[[list[bytes]], SearchStrategy[bytes]]


@dataclass(frozen=True)
class Target:
    """One parser and how to try it.

    Attributes:
        check: takes any bytes; raises when the invariant does not hold.
        seeds: well-formed inputs.
        inputs: seeds with something wrong in them, and noise.
    """

    check: Callable[[bytes], None]
    seeds: list[bytes]
    inputs: SearchStrategy[bytes]

    @property
    def invariant(self) -> str:
        """The first line of what the target's function says of itself."""
        return (self.check.__doc__ or "").partition("\n")[0]


_CHECKS: Final[dict[str, tuple[Callable[[bytes], None], Inputs]]] = {
    "request_head": (from_clients.request_head, mutated_bytes),
    "frames_from_client": (from_clients.frames_from_client, mutated_bytes),
    "frames_from_server": (from_servers.frames_from_server, mutated_bytes),
    "close_payload": (from_clients.close_payload_of_peer, mutated_bytes),
    "client_message": (from_clients.client_message, mutated_msgpack),
    "hello": (from_clients.hello, mutated_msgpack),
    "input": (from_clients.input_message, mutated_msgpack),
    "reception": (from_clients.reception, mutated_messages),
    "schema": (from_servers.schema, mutated_msgpack),
    "welcome": (from_servers.welcome, mutated_msgpack),
    "frame_header": (from_servers.frame_header, mutated_msgpack),
    "replica": (from_servers.replica, mutated_messages),
    "upgrade_answer": (from_servers.upgrade_answer, mutated_bytes),
    "client_link": (from_servers.client_link, mutated_bytes),
    "session": (from_servers.session, mutated_messages),
}

TARGETS: Final[dict[str, Target]] = {
    name: Target(check, corpus()[name], inputs(corpus()[name])) for name, (check, inputs) in _CHECKS.items()
}
