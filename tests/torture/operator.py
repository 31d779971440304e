"""An operator who asks for failovers, reversals and so on in the middle of trouble, and looks all the time.

Calls and looks go to a controller of one's choice, several at once, and their outcome may be unknown.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from tests.real.harness.installation import Installation
from tests.real.harness.protected import HOST_NAME, Protected
from tests.torture.evidence import Told, Trace

from bilocate.cli.client import Client, Group
from bilocate.cli.credentials import find_credentials
from bilocate.cli.errors import CliError, Conflict, NotFound, UsageProblem

CALLERS = 6
CALL_SECONDS = 5.0
LOOK_EVERY_SECONDS = 0.1
CHANGE_ROLES = ("failover", "reverse")
REFUSED = (Conflict, UsageProblem, NotFound)


@dataclass
class Done:
    """How the calls of a round went. `changes`: those that change roles and were not refused."""

    accepted: int = 0
    refused: int = 0
    unknown: int = 0
    changes: int = 0
    stops: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, verb: str, outcome: str) -> None:
        """One more."""
        with self.lock:
            setattr(self, outcome, getattr(self, outcome) + 1)
            if outcome != "refused":
                self.changes += verb in CHANGE_ROLES
                self.stops += verb == "stop"


class Operator:
    """Works on one group, in threads."""

    def __init__(self, installation: Installation, group: Protected, addresses: dict[str, str], trace: Trace):
        self._group_id, self._volumes, self._trace = group.group_id, group.volumes, trace
        self._clients = {name: _client(installation, address) for name, address in addresses.items()}
        self._pool = ThreadPoolExecutor(CALLERS, "caller")
        self._pending: list[Future[None]] = []
        self._watching = threading.Event()
        self._watchers: list[threading.Thread] = []
        self.done = Done()
        self.told: list[Told] = []

    # --- looking ---

    def look(self, controller: str) -> Group | None:
        """The group now; None when nobody answered."""
        with contextlib.suppress(CliError):
            return self._clients[controller].group(self._group_id)
        return None

    def watch(self) -> None:
        """Look at the group all the time, at each controller, until `end_watch`."""
        self.told, self.done = [], Done()
        self._watching.set()
        self._watchers = [
            threading.Thread(target=self._watch, args=(client, self.told), daemon=True)
            for client in self._clients.values()
        ]
        for watcher in self._watchers:
            watcher.start()

    def end_watch(self) -> list[Told]:
        """Everything that was told."""
        self._watching.clear()
        for watcher in self._watchers:
            watcher.join()
        return self.told

    # --- calls ---

    def later(self, call: Callable[[], None]) -> None:
        """In a thread, now or as soon as one is free."""
        self._pending.append(self._pool.submit(call))

    def wait(self) -> None:
        """Until all calls have their outcome."""
        pending, self._pending = self._pending, []
        for future in pending:
            future.result()

    def call(self, controller: str, verb: str, blindly: bool = False) -> None:
        """Ask for a verb, or for what must come first as things stand."""
        if not blindly:
            verb = fitting(verb, self.look(controller), self.done.stops > 0)
        self.ask(controller, verb)

    def ask(self, controller: str, verb: str, **value: bool) -> str:
        """Ask for a verb: accepted, refused, or unknown; and what was said."""
        if verb == "reverse":
            value = {"force": True}
        try:
            self._clients[controller].act(self._group_id, verb, value or None)
            outcome, said = "accepted", ""
        except REFUSED as error:
            outcome, said = "refused", str(error)
        except CliError as error:
            outcome, said = "unknown", str(error)
        self.done.count(verb, outcome)
        self._trace.note(f"{controller}: {verb} {value or ''} {outcome} {said}")
        return f"{outcome}: {said}"

    def connect(self, controller: str) -> tuple[str, list[str]] | None:
        """The production site and the addresses of its volumes; None when that can't be had now."""
        client = self._clients[controller]
        with contextlib.suppress(CliError):
            site = client.group(self._group_id)["priority_station"]
            infos = [client.connect_volume(volume[site]["id"], HOST_NAME) for volume in self._volumes]
            return site, [str(info["data"]["uri"]) for info in infos]
        return None

    def close(self) -> None:
        """No more calls."""
        self.end_watch()
        self._pool.shutdown()
        for client in self._clients.values():
            client.close()

    def _watch(self, client: Client, told: list[Told]) -> None:
        while self._watching.is_set():
            asked = time.monotonic()
            with contextlib.suppress(CliError):
                told.append(_told(asked, client.group(self._group_id)))
            time.sleep(LOOK_EVERY_SECONDS)


def fitting(verb: str, group: Group | None, stopped: bool) -> str:
    """What brings the group on towards `verb`, as it stands."""
    if group is None:
        return verb
    first = {"failovered": "reprotect", "error_failovering": "failover", "error_reversing": "reverse"}
    if group["status"] in first:
        return first[group["status"]]
    if stopped and group.get("replication_status") in ("active-stopped", "inactive"):
        return "sync"
    return verb


def _told(asked: float, group: Group) -> Told:
    seen: dict[str, Any] = dict(group)
    return Told(
        asked,
        time.monotonic(),
        seen["status"],
        str(seen.get("replication_status")),
        seen["priority_station"],
        str(seen.get("fault_level")),
    )


def _client(installation: Installation, address: str) -> Client:
    credentials = find_credentials(installation.layout.root)
    path = credentials.auth_url.partition("://")[2].partition("/")[2]
    return Client(replace(credentials, auth_url=f"{address}/{path}"), CALL_SECONDS)
