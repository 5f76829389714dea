"""Runs the Autobahn cases against a server of this machine, in a process of its own, and prints the verdicts as JSON.

The cases and their runner (`kosoku`) change the interpreter they run in, hence the process. The runner speaks plain ws
only: for wss, a forwarder does TLS with the server.

    python -m tests.support.autobahn PORT [--certificate FILE] [--cases '9.*' ...]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
from typing import Any

import kosoku

#: Groups 12 and 13 are about compression, which a Tickwire server never negotiates: 216 of the suite's 517 cases.
_COMPRESSION = ("12.*", "13.*")
#: Group 9 sends megabytes and has deadlines of its own: one case at a time.
_LARGE = ("9.*",)
#: Many of the others wait a second or two for what must not come.
_SMALL_AT_ONCE = 8
_READ_BYTES = 1 << 16


async def verdicts(port: int, certificate: str | None, cases: list[str] | None) -> list[dict[str, Any]]:
    """One row for each case.

    Args:
        certificate: what the server must show; None for ws.
        cases: patterns such as ``9.*``; None for all but those about compression.
    """
    if certificate is None:
        return await _run(port, cases)
    forwarder = _Forwarder(port, ssl.create_default_context(cafile=certificate))
    async with await asyncio.start_server(forwarder.serve, "127.0.0.1", 0) as listening:
        rows = await _run(listening.sockets[0].getsockname()[1], cases)
        await forwarder.until_idle()
    return rows


async def _run(port: int, cases: list[str] | None) -> list[dict[str, Any]]:
    url = f"ws://127.0.0.1:{port}/"
    if cases is not None:
        return await _rows(url, cases, (), 1)
    # Side by side: the small ones mostly sleep.
    small, large = await asyncio.gather(
        _rows(url, None, _COMPRESSION + _LARGE, _SMALL_AT_ONCE), _rows(url, _LARGE, (), 1)
    )
    return small + large


async def _rows(url: str, cases: Any, excluded: Any, at_once: int) -> list[dict[str, Any]]:
    try:
        results = await kosoku.run_fuzzingclient(url, cases, excluded, at_once)
    except kosoku.FailureError as failure:
        results = failure.results
    return [
        {
            "case": result.case_id,
            "messages": result.behavior.value,
            "closing": result.behavior_close.value,
            "why": f"{result.result} {result.result_close} Received: {result.received!r:.200}",
            "milliseconds": result.duration,
        }
        for result in results
    ]


class _Forwarder:
    """Takes plain connections and passes their bytes on over TLS, both ways, until either side ends."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port = port
        self._context = context
        self._connections: set[asyncio.Task[None]] = set()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, in a task."""
        task = asyncio.create_task(self._forward(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def until_idle(self) -> None:
        """Wait for the last connections to end."""
        if self._connections:
            await asyncio.wait(self._connections, timeout=5)

    async def _forward(self, plain_reader: asyncio.StreamReader, plain_writer: asyncio.StreamWriter) -> None:
        secured = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context, server_hostname="localhost")
        pumps = [
            asyncio.create_task(_pump(plain_reader, secured[1])),
            asyncio.create_task(_pump(secured[0], plain_writer)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        secured[1].close()
        plain_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # one side has gone, and the other goes with it


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run the Autobahn cases against a server of this machine.")
    parser.add_argument("port", type=int)
    parser.add_argument("--certificate", help="PEM file that the server shows: speak wss")
    parser.add_argument("--cases", nargs="*", help="patterns; all by default")
    given = parser.parse_args()
    print(json.dumps(asyncio.run(verdicts(given.port, given.certificate, given.cases))))


if __name__ == "__main__":
    main()
