"""What holds for all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from gameserver.logs import reset_limits
from tests.support.fake_links import close_what_is_open

# A job in the background of a script is started with Ctrl-C ignored, and every process that a test starts inherits
# that: then nothing that tests send could end them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _descriptors_are_given_back() -> Iterator[None]:
    """Thousands of tests share one process, and `select` knows 1024 descriptors."""
    yield
    close_what_is_open()


@pytest.fixture(autouse=True)
def _every_test_may_log_as_much_as_a_new_process() -> None:
    """All tests' peers share few addresses, and lines are limited for each."""
    reset_limits()
