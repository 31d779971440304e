"""Bilocate's two ways to serve a volume: replicated, and from one site alone."""

from collections.abc import Sequence

from bench.errors import BenchError
from bench.own.installation import SITES, Installation
from bench.same import assert_same
from bench.server import Server


class OwnReplicated(Server):
    """A volume of a group that is in step: a write is answered when both sites have it."""

    name = "bilocate-replicated"
    title = "Bilocate, replicated"
    settings = "as `bilocate up` sets it up"
    replicated = True

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        size_gib = installation.place.volume_gib
        self._volumes = tuple(installation.volume(f"replicated-{site}", size_gib, site) for site in SITES)
        self._group = installation.group("bench", [(self._volumes[0], self._volumes[1])])
        self._uri = installation.connect(self._volumes[0])

    @property
    def uri(self) -> str:
        return self._uri

    def pids(self) -> Sequence[int]:
        """Both agents, and the controller though it has no part in a write."""
        installation = self._installation
        return [installation.controller_pid, *map(installation.pid, SITES)]

    def check(self) -> None:
        told = self._installation.session(self._group, SITES[0])
        row = told["row"] or {}
        if not told["in_step"] or told["permit"] or row.get("state") != "in_sync":
            raise BenchError(f"the group is not in step: {told}")

    def finish(self) -> None:
        """No write is under way, so both files must be equal."""
        self.check()
        assert_same(*map(self._installation.file, self._volumes))

    def stop(self) -> None:
        self._installation.stop()


class OwnUnreplicated(Server):
    """A volume of one site, served by the same agent."""

    name = "bilocate-unreplicated"
    title = "Bilocate, unreplicated"
    settings = "as `bilocate up` sets it up"
    replicated = False

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        volume = installation.volume("plain", installation.place.volume_gib, SITES[0])
        self._uri = installation.connect(volume)

    @property
    def uri(self) -> str:
        return self._uri

    def pids(self) -> Sequence[int]:
        """Its agent and the controller."""
        return [self._installation.controller_pid, self._installation.pid(SITES[0])]

    def check(self) -> None:
        self._installation.pid(SITES[0])

    def stop(self) -> None:
        self._installation.stop()
