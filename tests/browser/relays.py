"""A network that can be cut: a relay for TCP between a page and its server."""

from __future__ import annotations

import socket
import struct
import threading
from types import TracebackType
from typing import Final

_CHUNK_BYTES: Final = 1 << 16
#: A socket that is closed with it sends RST.
_RESET: Final = struct.pack("ii", 1, 0)


class Relay:
    """Passes bytes on, on a port of its own, until it is told not to.

    Args:
        server_port: where to, on 127.0.0.1.
    Attributes:
        port: clients connect to it on 127.0.0.1.
        connections: how many have been made.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._refuses = False
        self._open: set[socket.socket] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._refuses = True
        self._flowing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End all connections, without a word in WebSocket's terms."""
        for each in list(self._open):
            try:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it, which closes it
            except OSError:
                pass  # its thread was faster

    def down(self) -> None:
        """End all connections, and reset each new one, until `up`."""
        self._refuses = True
        self.cut()

    def up(self) -> None:
        """Work again."""
        self._refuses = False
        self._flowing.set()

    def swallow(self) -> None:
        """Pass nothing on, and say so to nobody, until `up`; as a network that is just gone."""
        self._flowing.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self._refuses:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:  # it restarts, say
                client.close()
                continue
            self._open |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(_CHUNK_BYTES):
                self._flowing.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # cut, or one of the two has gone
        for each in (source, target):
            self._open.discard(each)
            each.close()
