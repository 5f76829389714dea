"""``python -m gamebots`` is the same as ``gamebots``."""

from gamebots.cli import main

main(prog_name="gamebots")
