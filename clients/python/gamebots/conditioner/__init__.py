"""Links as players have them: delay, jitter, loss as TCP shows it, limited rate, stalls."""

from __future__ import annotations

from gamebots.conditioner.profiles import PRESETS as PRESETS
from gamebots.conditioner.profiles import Direction as Direction
from gamebots.conditioner.profiles import LinkProfile as LinkProfile
from gamebots.conditioner.profiles import parse_link as parse_link
from gamebots.conditioner.sockets import ConditionedSocket as ConditionedSocket
from gamebots.conditioner.sockets import Conditioner as Conditioner
