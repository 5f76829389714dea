"""Every bound of the protocol, with its unit in its name.

Nothing in the wire is unbounded: a length is checked before memory is taken for it. Each limit is tested at n and
n + 1. A server may lower or raise the ones that its settings name; the values here are the defaults.
"""

from __future__ import annotations

from typing import Final

#: Largest message a client may send. Colyseus and Nakama use the same figure; an input needs about 40 bytes.
CLIENT_MESSAGE_BYTES: Final = 4096
#: Largest message a server may send: a full frame of 65 000 entities with ten 4-byte columns fits.
SERVER_MESSAGE_BYTES: Final = 16 * 1024 * 1024
#: Longest reason in a WebSocket Close frame: 125 bytes of control payload less the 2-byte code (RFC 6455, 5.5).
CLOSE_REASON_BYTES: Final = 123

#: Bounds for msgpack that comes from a client; small, because a 4 KiB message can otherwise claim 100 MiB.
CLIENT_ARRAY_ITEMS: Final = 64
CLIENT_MAP_ITEMS: Final = 32
CLIENT_MAPS: Final = 256
CLIENT_TEXT_BYTES: Final = 3072  # signed tokens are often 1 to 2 KiB
CLIENT_BYTES_BYTES: Final = 1024
#: Nesting depth of a client's message, the outermost array counted as 1.
CLIENT_DEPTH: Final = 8

#: Nesting depth of a server's message, the outermost array counted as 1; readers may refuse more.
SERVER_DEPTH: Final = 64

#: How long a connection may take until its hello has arrived, in seconds.
HELLO_SECONDS: Final = 5.0
#: How long a close handshake may take before the connection is cut, in seconds.
CLOSE_SECONDS: Final = 2.0

#: Longest player name, in bytes of UTF-8.
PLAYER_NAME_BYTES: Final = 64
#: Longest name of a message kind, in bytes of UTF-8.
MESSAGE_NAME_BYTES: Final = 64

#: Longest digests of a resync: buckets a table, bytes of all buckets together, and tables, beyond which there are none.
DIGEST_BUCKETS: Final = 64
DIGEST_BYTES: Final = 3072
DIGEST_TABLES: Final = 60

#: How many ticks a despawned entity's id stays unused, and the oldest baseline a delta is made from.
HISTORY_TICKS: Final = 64
#: How long it stays unused at most, however long a link that was written no frame since then takes, in ticks: with 128
#: despawns a tick no id would be left after it.
LONGEST_REST_TICKS: Final = 1 << 14
#: Inputs that wait for their tick, per player; the oldest is dropped beyond it.
INPUT_QUEUE_ITEMS: Final = 8
#: How far in the future an input may ask to be applied, in ticks.
INPUT_AHEAD_TICKS: Final = 32

#: Most rows a table may hold, and so the largest entity id is below twice this number.
TABLE_ROWS: Final = 1 << 20
#: Reliable bytes that may wait for one link; past it the link is closed.
MESSAGE_QUEUE_BYTES: Final = 256 * 1024
