"""What one connection may cost, with the unit in each name; the bounds of the wire are in gameprotocol.limits."""

from __future__ import annotations

from typing import Final

#: A browser's upgrade request has about 600 bytes and 15 fields; large cookies are the usual reason for more.
HEAD_BYTES: Final = 8 * 1024
HEAD_FIELDS: Final = 64

#: Read from one connection in one call. It is also the most that a peer can make a tick look at: 341 empty frames,
#: about 0.5 ms. At 20 ticks a second it lets 40 KiB/s through, several times what a game client sends; the rest waits
#: in the kernel, so TCP slows the sender down. A larger message takes more than one read.
RECEIVE_BYTES: Final = 2048
#: What is asked for first. An input has 40 bytes, and a bytes object of at most 512 with its header comes from Python's
#: own allocator: 0.5 us a read less than with the whole 2 KiB.
USUAL_BYTES: Final = 479

#: Pings and pongs reach no queue that would bound them, so they are counted: the burst, and how fast it refills.
PING_BURST: Final = 10
PINGS_PER_SECOND: Final = 5.0
PONG_BURST: Final = 20
PONGS_PER_SECOND: Final = 10.0
#: Game clients need no fragments at all; browsers and libraries may still cut a large message.
MESSAGE_FRAGMENTS: Final = 8
#: Fragments are put together by the WebSocket library, which takes about 0.2 ms for each. No game's client sends any.
FRAGMENT_BURST: Final = 24
FRAGMENTS_PER_SECOND: Final = 8.0

#: A link whose socket took nothing for so long, with half a frame or a message waiting, is cut, in seconds. Its Close
#: frame could not leave either. The kernel's patience is the same (TCP_USER_TIMEOUT_MS). A client that only stops
#: reading is not cut: what the window of acknowledgements lets through fits into its receive buffer.
STUCK_SECONDS: Final = 15.0
#: What a peer may still send behind our Close; it is read in search of the peer's own, and no more than that.
BYTES_BEHIND_CLOSE: Final = 8 * 1024
#: What a cancelled connection (the server stops) may take for its Close handshake, in seconds.
CANCELLED_CLOSE_SECONDS: Final = 0.5
#: How long a refused connection may take to read the answer, in seconds.
LINGER_SECONDS: Final = 0.5

#: The most unsent bytes in the kernel before it calls a TCP socket full. All of it is already old when it leaves, so it
#: should be small: with a reader at half speed and no window of acknowledgements the state was 560 ms old with 16 KiB,
#: 171 ms with 1 KiB and 170 with 512 bytes. A frame larger than that is still taken whole, and drains.
UNSENT_BYTES: Final = 1024
#: A TCP peer that acknowledges nothing for so long is gone, in milliseconds; the kernel's own patience is 15 minutes.
TCP_USER_TIMEOUT_MS: Final = 15_000

#: Connections that wait to be accepted, and the most that are accepted before other tasks get a turn.
LISTEN_BACKLOG: Final = 1024
ACCEPT_BATCH: Final = 8
#: Connections that may be accepted at once, in seconds of the rate that the server's limits name.
ACCEPT_BURST_SECONDS: Final = 0.2
#: Connections refused in a second: turning one away takes about 50 us. More of them wait in the kernel.
REFUSALS_PER_SECOND: Final = 500.0
#: Refused connections that are given time to read why; beyond it they are just closed.
LINGERING_CONNECTIONS: Final = 64
#: Pause when the process has no descriptors or memory left for a connection, in seconds.
EXHAUSTED_PAUSE_SECONDS: Final = 0.1
