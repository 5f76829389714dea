from __future__ import annotations

import sys
from pathlib import Path

from tools.vectors import write_all

write_all(*(Path(given) for given in sys.argv[1:2]))
