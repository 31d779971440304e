"""What all tests share."""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The event loop that agents and controllers run on. One for all: a loop that a fixture of the session keeps is
    that of every later test, whatever such a test says itself."""
    return "asyncio", {"use_uvloop": True}
