"""Dying on purpose at a named moment of a named step: how tests prove that a takeover ends right.

In real processes the environment names the moment: BILOCATE_DIE_AT=verb:step:moment.
"""

import os
from collections.abc import Callable, Mapping
from enum import Enum

ENVIRONMENT_NAME = "BILOCATE_DIE_AT"
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
        """Ends the process at the moment that `BILOCATE_DIE_AT` names; unset: never.

        :raises ValueError: when it does not read verb:step:moment.
        """
        named = environment.get(ENVIRONMENT_NAME, "")
        if not named:
            return cls()
        try:
            verb, step, moment_name = named.split(":")
            moment = Moment(moment_name)
        except ValueError:
            moments = "|".join(m.value for m in Moment)
            raise ValueError(f"{ENVIRONMENT_NAME}={named!r} must read verb:step:({moments})") from None

        def die(at_verb: str, at_step: str, at_moment: Moment) -> None:
            if (at_verb, at_step, at_moment) == (verb, step, moment):
                os._exit(EXIT_CODE)

        return cls(die)

    def reached(self, verb: str, step: str, moment: Moment) -> None:
        """A runner is there. The undo of a step is named "undo-STEP"."""
        if self._reached is not None:
            self._reached(verb, step, moment)
