"""What holds for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fake_links import close_what_is_open


@pytest.fixture(autouse=True)
def _descriptors_are_given_back() -> Iterator[None]:
    """Thousands of tests share one process, and `select` knows 1024 descriptors."""
    yield
    close_what_is_open()
