"""The golden vectors: ``python -m tools.vectors [DIRECTORY]``, by default ``protocol/vectors``.

The frames are put together by hand, item by item as SPEC.md says, so that they do not change when the server learns to
pack better; the files ``recorded-*.json`` are what the server's own encoder makes of a small game. What a replica then
holds is computed by `gameprotocol.Replica`; the conformance tests compare it with a second reader that was written from
SPEC.md alone. The output depends on nothing but this package and the code: no clock, no chance.
"""

from __future__ import annotations

from tools.vectors.files import write_all as write_all
