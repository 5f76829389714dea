"""``python -m gameserver`` is the same as ``gameserver``."""

from gameserver.cli import main

main(prog_name="gameserver")
