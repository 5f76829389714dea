"""Settings of the whole process, for a process that is the server and nothing else. A library must not make them."""

from __future__ import annotations

import gc
import sys
from typing import Final

#: New objects between two collections of the youngest generation, 700 by default. A tick with a thousand players makes
#: a few thousand that are gone with it; looking through them once a tick took 1 of 20 us per client and tick.
_YOUNG_OBJECTS: Final = 50_000


def tune_process() -> None:
    """Allow as many connections as the system does, and collect garbage less often.

    What exists now (modules, classes) is never looked through again: see `gc.freeze`.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 10, 10)
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
