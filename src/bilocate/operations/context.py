"""What verbs and helpers of this package share: one of each per controller."""

from collections.abc import Callable
from dataclasses import dataclass

from bilocate.operations.agents import AgentClient
from bilocate.operations.journal import Journal
from bilocate.operations.observer import Observer
from bilocate.operations.reconcile import Reconciler
from bilocate.operations.settings import Settings
from bilocate.store.database import Database


@dataclass(frozen=True, slots=True)
class Context:
    """The parts an operation works with."""

    database: Database
    settings: Settings
    agents: AgentClient
    observer: Observer
    reconciler: Reconciler
    journal: Journal
    clock: Callable[[], float]  # monotonic seconds of this process
