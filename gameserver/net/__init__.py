"""Connections: bytes in and out, and waiting for them. What a message means is not known here.

listener -> handshake -> link <- poller <- (a room). ``handshake`` is the only importer of trio_websocket.
"""

from gameserver.net.handshake import ConnectionHandler as ConnectionHandler
from gameserver.net.handshake import serve_connection as serve_connection
from gameserver.net.link import VANISHED as VANISHED
from gameserver.net.link import Link as Link
from gameserver.net.listener import open_listeners as open_listeners
from gameserver.net.listener import serve_listeners as serve_listeners
from gameserver.net.poller import Poller as Poller
