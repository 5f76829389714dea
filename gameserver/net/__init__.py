"""Connections: bytes in and out, and waiting for them. What a message means is not known here.

listener -> connection -> link <- poller <- (a room). ``handshake`` is the only importer of trio_websocket.
"""

from gameserver.net.connection import ConnectionHandler as ConnectionHandler
from gameserver.net.connection import serve_connection as serve_connection
from gameserver.net.door import Door as Door
from gameserver.net.door import Visitor as Visitor
from gameserver.net.entrance import Entrance as Entrance
from gameserver.net.limits import Limits as Limits
from gameserver.net.link import VANISHED as VANISHED
from gameserver.net.link import Link as Link
from gameserver.net.listener import open_listeners as open_listeners
from gameserver.net.listener import serve_listeners as serve_listeners
from gameserver.net.poller import Poller as Poller
from gameserver.net.request_head import RefusedRequestError as RefusedRequestError
from gameserver.net.request_head import RequestHead as RequestHead
from gameserver.net.rules import GAME_RULES as GAME_RULES
from gameserver.net.rules import LinkRules as LinkRules
from gameserver.net.rules import TextMessage as TextMessage
from gameserver.net.tls import Tls as Tls
from gameserver.net.tls import TlsError as TlsError
