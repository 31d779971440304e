"""Waiting for a condition, with a limit and with words for what was seen last."""

import time
from collections.abc import Callable
from typing import TypeVar

LOOK_SECONDS = 0.01

T = TypeVar("T")


def wait_for(
    what: str,
    look: Callable[[], T],
    timeout_seconds: float = 20.0,
    seen: Callable[[], object] = lambda: "",
    look_seconds: float = LOOK_SECONDS,
) -> T:
    """The first true answer of `look`. `seen` tells how it stands when there is none in time."""
    give_up = time.monotonic() + timeout_seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > give_up:
            raise AssertionError(f"no {what} within {timeout_seconds:g} s; {seen()}")
        time.sleep(look_seconds)
