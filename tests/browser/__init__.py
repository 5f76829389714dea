"""Pages in a real Chromium, served by real servers. The fixtures are in conftest.py."""
