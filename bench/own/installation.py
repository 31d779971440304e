"""A controller and two agents on one medium, started as `bilocate up` starts them."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx

from bench.errors import BenchError
from bench.place import Place
from bilocate.cli import supervise
from bilocate.cli.client import Client, Group, Pair, Volume
from bilocate.cli.credentials import find_credentials
from bilocate.cli.installation import configure, control_of
from bilocate.cli.layout import CONTROLLER, Layout
from bilocate.cli.waiting import Outcome, judge_available, judge_in_step, wait_until

SITES = ("az1", "az2")
WAIT_SECONDS = 120.0
HOST = "bench"
Twin = tuple[Volume, Volume]  # what will be a pair: the first site's, the second's


class Installation:
    """Made at once; `stop` ends its processes. Everything is asked for over the HTTP API."""

    def __init__(
        self, place: Place, prepare: Callable[[Layout], None] = lambda layout: None, agents: int = 1
    ) -> None:
        """`prepare` may change the configuration before the first start. `agents`: in each zone."""
        self.place = place
        self.layout = Layout.of(place.medium / "own")
        with supervise.locked(self.layout):
            configure(self.layout, None, list(SITES), agents)
            if place.link == "unix":
                _use_unix_sockets(self.layout, place)
            prepare(self.layout)
            supervise.start_missing(self.layout)
        try:
            supervise.await_ready(self.layout)
            self.client = Client(find_credentials(self.layout.root))
        except BaseException:
            supervise.stop_all(self.layout)
            raise

    def pid(self, name: str) -> int:
        """Of the controller or of a site's agent.

        :raises BenchError: when it does not run.
        """
        pid = self.layout.daemon(name).pid()
        if pid is None:
            words = self.layout.daemon(name).last_words()
            raise BenchError(f"{name} has ended. Its log says:\n{words}")
        return pid

    @property
    def controller_pid(self) -> int:
        """Of the controller."""
        return self.pid(CONTROLLER)

    def kill(self, site: str) -> None:
        """SIGKILL a site's agent."""
        self.layout.daemon(site).kill()

    def start(self, site: str) -> None:
        """Start a site's agent again and wait until the controller knows of it."""
        self.layout.daemon(site).start()
        supervise.await_site(self.layout, site)

    def stop(self) -> None:
        """End all processes."""
        supervise.stop_all(self.layout)
        self.client.close()

    # --- volumes ---

    def volume(self, name: str, size_gib: int, site: str) -> Volume:
        """A new volume."""
        return self._available(self.client.create_volume(name, size_gib, site))

    def twins(self, name: str, count: int, size_gib: int = 1, sites: tuple[str, str] = SITES) -> list[Twin]:
        """New volumes for so many pairs, the first site's first; all are asked for before any is waited for."""
        asked = [
            [self.client.create_volume(f"{name}-{number}-{site}", size_gib, site) for site in sites]
            for number in range(count)
        ]
        return [(self._available(one), self._available(two)) for one, two in asked]

    def _available(self, asked: Volume) -> Volume:
        look = partial(self.client.volume, asked["id"])
        return cast(Volume, self._await(f"volume {asked['name']}", look, judge_available))

    def file(self, volume: Volume) -> Path:
        """The file behind a volume."""
        return self.layout.data(volume.site) / "volumes" / volume.id

    def connect(self, volume: Volume) -> str:
        """The NBD address of a volume, by the kind of connection that is measured."""
        uri = str(self.client.connect_volume(volume["id"], HOST)["data"]["uri"])
        if self.place.link == "tcp":
            return uri
        export = uri.rsplit("/", 1)[1]
        return f"nbd+unix:///{export}?socket={self.place.socket(nbd_socket(volume.site))}"

    def disconnect(self, volume: Volume) -> None:
        """End the connections that `connect` opened."""
        self.client.disconnect_volume(volume["id"], HOST)

    # --- groups ---

    def group(self, name: str, twins: list[Twin], timeout_seconds: float = WAIT_SECONDS) -> Group:
        """A new group, with both sites in step."""
        return self.act(self.new_group(name, twins), "sync", judge_in_step, timeout_seconds)

    def new_group(self, name: str, twins: list[Twin]) -> Group:
        """Pair the volumes and put the pairs into one group."""
        return self.new_groups(name, [twins])[0]

    def groups(
        self, name: str, members: list[list[Twin]], timeout_seconds: float = WAIT_SECONDS
    ) -> list[Group]:
        """New groups, all asked for before any is waited for; with both sites in step."""
        made = self.new_groups(name, members)
        for group in made:
            self.client.act(group["id"], "sync")
        return [self.await_group(group, judge_in_step, timeout_seconds) for group in made]

    def new_groups(self, name: str, members: list[list[Twin]]) -> list[Group]:
        """New groups that do not replicate yet, all asked for before any is waited for."""
        client = self.client
        pairs = [
            [
                client.create_pair(f"{name}-{number}-{place}", [one["id"], two["id"]], SITES[0])
                for place, (one, two) in enumerate(twins)
            ]
            for number, twins in enumerate(members)
        ]
        made = []
        for number, some in enumerate(pairs):
            for pair in some:
                self._await(f"pair {pair['name']}", partial(client.pair, pair["id"]), judge_available)
            made.append(client.create_group(f"{name}-{number}", [pair["id"] for pair in some], SITES[0]))
        return [
            self._await(f"group {g['name']}", partial(client.group, g["id"]), judge_available) for g in made
        ]

    def extend(self, group: Group, size_gib: int) -> None:
        """All volumes of a group are that large, at both sites."""
        pairs = self.client.group(group["id"])["replication_ids"]
        self.client.extend_group(group["id"], dict.fromkeys(pairs, size_gib))

        def grown(pair: Pair) -> Outcome:
            return Outcome.DONE if pair.size_gib == size_gib else Outcome.GOING

        for pair in pairs:
            self._await(f"pair {pair}", partial(self.client.pair, pair), grown)

    def act(
        self,
        group: Group,
        verb: str,
        judge: Callable[[Group], Outcome],
        timeout_seconds: float = WAIT_SECONDS,
    ) -> Group:
        """Call a verb and wait for its end."""
        self.client.act(group["id"], verb)
        return self.await_group(group, judge, timeout_seconds)

    def await_group(
        self, group: Group, judge: Callable[[Group], Outcome], timeout_seconds: float = WAIT_SECONDS
    ) -> Group:
        """Wait until a group is as wanted."""
        look = partial(self.client.group, group["id"])
        return wait_until(f"group {group['name']}", look, judge, timeout_seconds)

    def session(self, group: Group, site: str) -> dict[str, Any]:
        """What a site's agent tells of a group's session."""
        return self._ask_agent(site, f"sessions/{group['id']}")

    def states(self, site: str) -> list[str]:
        """Of all sessions at a site."""
        return [str(each["state"]) for each in self._ask_agent(site, "status")["sessions"].values()]

    def _ask_agent(self, site: str, what: str) -> dict[str, Any]:
        control = control_of(self.layout, site)
        answer = httpx.get(f"{control.url}/v1/{what}", headers=control.headers, timeout=10, trust_env=False)
        return dict(answer.raise_for_status().json())

    def ledger_count(self, site: str, what: str) -> float:
        """How many "commits", "transactions" or "checkpoints" the ledger of a site's agent has had in its life."""
        url = f"{control_of(self.layout, site).url}/metrics"
        page = httpx.get(url, timeout=10, trust_env=False).raise_for_status().text
        found = re.search(rf"^bilocate_ledger_{what}_total\{{\}} (\S+)$", page, re.MULTILINE)
        if found is None:
            raise BenchError(
                f"the agent of {site} does not tell its ledger's {what}: is it of an older version?"
            )
        return float(found[1])

    def _await(self, what: str, look: Callable[[], Any], judge: Callable[[Any], Outcome]) -> Any:
        return wait_until(what, look, judge, WAIT_SECONDS)


def nbd_socket(site: str) -> str:
    """Name of the socket on which a site's agent serves hosts."""
    return f"nbd-{site}"


def _use_unix_sockets(layout: Layout, place: Place) -> None:
    """Change the fresh configuration: links between the agents, and hosts' connections, over unix sockets."""
    controller = layout.config(CONTROLLER)
    text = controller.read_text()
    for site in layout.site_names():
        link = place.socket(f"link-{site}")
        text = re.sub(rf'(\[sites\.{site}\][^\[]*link_address = )"[^"]*"', rf'\g<1>"{link}"', text)
        config = layout.config(site)
        own = re.sub(r'unix_socket = "[^"]*"\n', "", config.read_text())
        own = own.replace("[nbd]\n", f'[nbd]\nunix_socket = "{place.socket(nbd_socket(site))}"\n')
        own = own.replace("[link]\n", f'[link]\nunix_socket = "{link}"\n')
        config.write_text(own)
    controller.write_text(text)
