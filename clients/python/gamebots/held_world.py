"""The world as a bot holds it: kept, checked by its hash, and asked for anew when it differs. Pure."""

from __future__ import annotations

from gameprotocol import BaselineError, Frame, Replica, Schema, encode_resync


class HeldWorld:
    """A replica of what one player sees.

    Other than a session, which tries to go on, a bot lets out what a malformed frame raises: a load test is to find it.

    Args:
        schema, player, message_bytes: as the welcome says; the last is the largest message that the server takes.

    Attributes:
        replica: the tables.
        question: what to send because of the newest frame, to be given a full one; None usually.
    """

    __slots__ = ("_asked", "_message_bytes", "question", "replica")

    def __init__(self, schema: Schema, player: int, message_bytes: int) -> None:
        self.replica = Replica(schema, player)
        self.question: bytes | None = None
        self._message_bytes = message_bytes
        self._asked = False

    @property
    def usable_tick(self) -> int:
        """The tick from which a delta may start; 0 when only a full frame will do."""
        return 0 if self._asked else self.replica.tick

    def came_back(self) -> None:
        """There is a new connection: what was asked for on the old one need not come."""
        self._asked = False

    def take(self, frame: Frame) -> bool:
        """Apply a frame; False when it did not fit to what is held.

        Raises:
            ProtocolError: it is malformed.
        """
        replica = self.replica
        self.question = None
        try:
            replica.apply(frame)
        except BaselineError:
            self._ask(encode_resync(replica.tick, 0, 0))
            return False
        self._asked = self._asked and frame.header.back > 0
        if frame.hash is not None and not replica.check(frame):
            found = replica.hash()
            report = encode_resync(replica.tick, frame.hash, found, replica.digests())
            fits = len(report) <= self._message_bytes
            self._ask(report if fits else encode_resync(replica.tick, frame.hash, found))
        return True

    def _ask(self, question: bytes) -> None:
        """Once; frames that were on their way before the answer must not make us ask again."""
        if not self._asked:
            self._asked = True
            self.question = question
