"""Load tests of Tickwire servers: bots that play as people do, what they feel of it, and a verdict.

    Bot         what decides for one player; subclass it and run it with ``gamebots URL --bot FILE.py``
    Scenario    what bots do with their connections; subclass it and run it with ``gamebots URL --scenario FILE.py``

The commands are in `gamebots.commands`; a program that wants the result of a run calls `gamebots.fleet.run`.
"""

from __future__ import annotations

from gamebots.bots import Bot as Bot
from gamebots.bots import Decision as Decision
from gamebots.bots import RandomBot as RandomBot
from gamebots.scenarios import Drop as Drop
from gamebots.scenarios import Join as Join
from gamebots.scenarios import Leave as Leave
from gamebots.scenarios import Play as Play
from gamebots.scenarios import Scenario as Scenario
from gamebots.scenarios import Script as Script
from gamebots.scenarios import Stall as Stall
from gamebots.scenarios import Until as Until
from gamebots.scenarios import Wait as Wait
