"""One target under atheris: coverage tells which inputs are worth mutating further. Started by ``tests.fuzz.run``.

libFuzzer ends the process it runs in, so each target has one of its own.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from pathlib import Path
from typing import Final

import atheris

from tests.fuzz.findings import keep, quiet

#: What is watched: the parsers, ours and those of the libraries that they hand bytes to.
_WATCHED: Final = ["gameprotocol", "gameclient", "gameserver", "wsproto", "h11"]
_MOST_BYTES: Final = 8192

with atheris.instrument_imports(include=_WATCHED):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Arguments: the target, the folder of its corpus, seconds, seed."""
    name, folder, seconds, seed = sys.argv[1:5]
    target = TARGETS[name]
    corpus = Path(folder)
    for number, data in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(data)
    quiet()
    warnings.simplefilter("error")

    def once(data: bytes) -> None:
        try:
            target.check(data)
        except Exception:
            print(f"! {name}: {keep(name, data)}", flush=True)
            traceback.print_exc()
            raise

    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={_MOST_BYTES}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, "-verbosity=0", f"-artifact_prefix={corpus}/", folder], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
