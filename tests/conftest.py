"""What holds for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gameserver.logs import reset_limits
from tests.support.fake_links import close_what_is_open


@pytest.fixture(autouse=True)
def _descriptors_are_given_back() -> Iterator[None]:
    """Thousands of tests share one process, and `select` knows 1024 descriptors."""
    yield
    close_what_is_open()


@pytest.fixture(autouse=True)
def _every_test_may_log_as_much_as_a_new_process() -> None:
    """All tests' peers share few addresses, and lines are limited for each."""
    reset_limits()
