"""The commands of ``gamebots``, one module each."""
