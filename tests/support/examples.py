"""How many examples a property test looks at: its own number, or what TICKWIRE_EXAMPLES says (`make fuzz`)."""

from __future__ import annotations

import os

from hypothesis import settings


def examples(usual: int, **more: int) -> settings:
    """Settings (a decorator) for a property test that looks at ``usual`` examples in a usual run."""
    return settings(max_examples=int(os.environ.get("TICKWIRE_EXAMPLES", usual)), deadline=None, **more)
