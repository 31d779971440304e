"""What is measured: something that serves one disk over NBD."""

from abc import ABC, abstractmethod
from collections.abc import Sequence


class Server(ABC):
    """A disk behind an NBD address, with all processes it takes to serve it."""

    name: str  # as in --servers and in the report's JSON
    title: str  # as a table shows it
    settings: str  # how it was started, for the report
    replicated: bool  # whether a write is answered only when two copies have it

    @property
    @abstractmethod
    def uri(self) -> str:
        """Where fio connects."""

    @abstractmethod
    def pids(self) -> Sequence[int]:
        """Every process whose CPU time counts."""

    @abstractmethod
    def check(self) -> None:
        """Called before and after each measurement.

        :raises BenchError: when it is not in the state that is to be measured, such as out of sync.
        """

    @abstractmethod
    def stop(self) -> None:
        """End its processes. Safe to call twice."""

    def finish(self) -> None:
        """After the last measurement: whatever can only be verified then.

        :raises BenchError: when what was measured was not what it seemed to be.
        """
        return
