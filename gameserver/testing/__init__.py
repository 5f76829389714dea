"""For game authors: run a room with scripted players under virtual time, and look at what each of them sees.

::

    from gameserver.testing import RoomTester

    with RoomTester(Arena, seed=1) as tester:
        ada = tester.join("Ada")
        ada.input(thrust=True)
        tester.ticks(20)
        assert ada.row(ada.player.data).x > 2000

With pytest there is a fixture, ``room_tester``, which closes testers and finds failures: see docs/testing.md.
"""

from __future__ import annotations

from gameserver.rooms.handlers import RequestError as RequestError
from gameserver.testing.players import Closed as Closed
from gameserver.testing.players import ClosedError as ClosedError
from gameserver.testing.players import DesyncError as DesyncError
from gameserver.testing.players import ScriptedPlayer as ScriptedPlayer
from gameserver.testing.tester import MakeTester as MakeTester
from gameserver.testing.tester import RoomTester as RoomTester
