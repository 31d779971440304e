"""Dying, or hanging, on purpose at a named moment of a named step: how tests prove that a takeover ends right.

In real processes the environment names the moment: BILOCATE_DIE_AT=verb:step:moment, or BILOCATE_HANG_AT, at
which the process stops itself (SIGSTOP), once, until someone lets it go on.
"""

import os
import signal
from collections.abc import Callable, Mapping
from enum import Enum

ENVIRONMENT_NAME = "BILOCATE_DIE_AT"
HANG_ENVIRONMENT_NAME = "BILOCATE_HANG_AT"
# What a shell reports for a process that was killed by SIGKILL: nothing was cleaned up.
EXIT_CODE = 137


class Moment(Enum):
    """Where in a step. `IN`: its effects are there, the journal does not know it yet."""

    BEFORE = "before"
    IN = "in"
    AFTER = "after"


class Injection:
    """Told of every moment that is reached; does nothing unless asked to."""

    def __init__(self, reached: Callable[[str, str, Moment], None] | None = None) -> None:
        self._reached = reached

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Injection":
        """Ends, or stops, the process at the moment that the environment names; nothing named: never.

        :raises ValueError: when it does not read verb:step:moment.
        """
        name = HANG_ENVIRONMENT_NAME if environment.get(HANG_ENVIRONMENT_NAME) else ENVIRONMENT_NAME
        if not environment.get(name):
            return cls()
        wanted = _moment_named(name, environment[name])
        hung = False

        def hit(verb: str, step: str, moment: Moment) -> None:
            nonlocal hung
            if (verb, step, moment) != wanted:
                return
            if name == ENVIRONMENT_NAME:
                os._exit(EXIT_CODE)
            if not hung:
                hung = True
                os.kill(os.getpid(), signal.SIGSTOP)

        return cls(hit)

    def reached(self, verb: str, step: str, moment: Moment) -> None:
        """A runner is there. The undo of a step is named "undo-STEP"."""
        if self._reached is not None:
            self._reached(verb, step, moment)


def _moment_named(name: str, value: str) -> tuple[str, str, Moment]:
    try:
        verb, step, moment = value.split(":")
        return verb, step, Moment(moment)
    except ValueError:
        moments = "|".join(m.value for m in Moment)
        raise ValueError(f"{name}={value!r} must read verb:step:({moments})") from None
