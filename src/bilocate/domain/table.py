"""A complete transition table: every (state, event) is either listed or refused by name."""

from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar

from bilocate.domain.errors import IllegalTransition

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


class Table(Generic[S, E]):
    """One state machine, written as {state: {event: next state}}.

    A key that is missing *is* the refusal: `step` raises and moves nothing. Staying where one is must be
    written down like any other move.
    """

    def __init__(self, name: str, states: type[S], events: type[E], moves: Mapping[S, Mapping[E, S]]) -> None:
        self.name = name
        self.states = states
        self.events = events
        self.moves = moves
        missing = [state for state in states if state not in moves]
        if missing:
            raise ValueError(f"{name}: no row for {missing}")

    def step(self, state: S, event: E, subject: str = "") -> S:
        """The next state.

        :raises IllegalTransition: when the table has no such move.
        """
        try:
            return self.moves[state][event]
        except KeyError:
            legal = sorted(str(e.value) for e in self.moves[state])
            raise IllegalTransition(self.name, subject, str(state.value), str(event.value), legal) from None

    def allows(self, state: S, event: E) -> bool:
        """Whether `event` is legal in `state`."""
        return event in self.moves[state]
