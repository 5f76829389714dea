"""The contract between server and clients, in Python: schema, messages, codec, columns, replica, WebSocket frames.

Everything in here is pure: no socket, no clock, no task. ``protocol/SPEC.md`` describes the same thing byte by byte.
It imports the standard library, numpy, msgpack and msgspec, and nothing of the server or the clients.
"""

from __future__ import annotations

from gameprotocol import limits as limits
from gameprotocol._codec import pack as pack
from gameprotocol._codec import unpack_from_client as unpack_from_client
from gameprotocol._codec import unpack_from_server as unpack_from_server
from gameprotocol._messages import SUBPROTOCOL as SUBPROTOCOL
from gameprotocol._messages import Frame as Frame
from gameprotocol._messages import FrameHeader as FrameHeader
from gameprotocol._messages import Hello as Hello
from gameprotocol._messages import InputHeader as InputHeader
from gameprotocol._messages import JoinMethod as JoinMethod
from gameprotocol._messages import Kind as Kind
from gameprotocol._messages import Returned as Returned
from gameprotocol._messages import Welcome as Welcome
from gameprotocol._messages import decode_frame_header as decode_frame_header
from gameprotocol._messages import encode_acknowledge as encode_acknowledge
from gameprotocol._messages import encode_input as encode_input
from gameprotocol._messages import encode_message as encode_message
from gameprotocol._messages import encode_reply as encode_reply
from gameprotocol._messages import encode_request as encode_request
from gameprotocol._messages import encode_resync as encode_resync
from gameprotocol._messages import message_kind as message_kind
from gameprotocol._replica import BaselineError as BaselineError
from gameprotocol._replica import Replica as Replica
from gameprotocol._replica import TableChanges as TableChanges
from gameprotocol._replica_table import ReplicaTable as ReplicaTable
from gameprotocol._replica_table import Row as Row
from gameprotocol._schema import InputField as InputField
from gameprotocol._schema import InputSchema as InputSchema
from gameprotocol._schema import Schema as Schema
from gameprotocol._schema import TableSchema as TableSchema
from gameprotocol.closing import CloseCode as CloseCode
from gameprotocol.closing import ProtocolError as ProtocolError
