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
from bilocate.cli.client import Client, Group, Volume
from bilocate.cli.credentials import find_credentials
from bilocate.cli.installation import configure, control_of
from bilocate.cli.layout import CONTROLLER, Layout
from bilocate.cli.waiting import Outcome, judge_available, judge_in_step, wait_until

SITES = ("az1", "az2")
WAIT_SECONDS = 120.0
HOST = "bench"


class Installation:
    """Made at once; `stop` ends its processes. Everything is asked for over the HTTP API."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.layout = Layout.of(place.medium / "own")
        with supervise.locked(self.layout):
            configure(self.layout, None, list(SITES))
            if place.link == "unix":
                _use_unix_sockets(self.layout, place)
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
        made = self.client.create_volume(name, size_gib, site)
        return cast(
            Volume, self._await(f"volume {name}", partial(self.client.volume, made["id"]), judge_available)
        )

    def file(self, volume: Volume) -> Path:
        """The file behind a volume."""
        return self.layout.data(volume["availability_zone"]) / "volumes" / volume.id

    def connect(self, volume: Volume) -> str:
        """The NBD address of a volume, by the kind of connection that is measured."""
        uri = str(self.client.connect_volume(volume["id"], HOST)["data"]["uri"])
        if self.place.link == "tcp":
            return uri
        export = uri.rsplit("/", 1)[1]
        return f"nbd+unix:///{export}?socket={self.place.socket(nbd_socket(volume['availability_zone']))}"

    def disconnect(self, volume: Volume) -> None:
        """End the connections that `connect` opened."""
        self.client.disconnect_volume(volume["id"], HOST)

    # --- groups ---

    def group(
        self, name: str, twins: list[tuple[Volume, Volume]], timeout_seconds: float = WAIT_SECONDS
    ) -> Group:
        """A new group, with both sites in step."""
        return self.act(self.new_group(name, twins), "sync", judge_in_step, timeout_seconds)

    def new_group(self, name: str, twins: list[tuple[Volume, Volume]]) -> Group:
        """Pair the volumes and put the pairs into one group."""
        client = self.client
        pairs = [
            client.create_pair(f"{name}-{number}", [one["id"], two["id"]], SITES[0])
            for number, (one, two) in enumerate(twins)
        ]
        for pair in pairs:
            self._await(f"pair {pair['name']}", partial(client.pair, pair["id"]), judge_available)
        made = client.create_group(name, [pair["id"] for pair in pairs], SITES[0])
        return cast(Group, self._await(f"group {name}", partial(client.group, made["id"]), judge_available))

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
        control = control_of(self.layout, site)
        url = f"{control.url}/v1/sessions/{group['id']}"
        answer = httpx.get(url, headers=control.headers, timeout=10, trust_env=False)
        return dict(answer.raise_for_status().json())

    def _await(self, what: str, look: Callable[[], Any], judge: Callable[[Any], Outcome]) -> Any:
        return wait_until(what, look, judge, WAIT_SECONDS)


def nbd_socket(site: str) -> str:
    """Name of the socket on which a site's agent serves hosts."""
    return f"nbd-{site}"


def _use_unix_sockets(layout: Layout, place: Place) -> None:
    """Change the fresh configuration: links between the agents, and hosts' connections, over unix sockets."""
    controller = layout.config(CONTROLLER)
    text = controller.read_text()
    for site in SITES:
        link = place.socket(f"link-{site}")
        text = re.sub(rf'(\[sites\.{site}\][^\[]*link_address = )"[^"]*"', rf'\g<1>"{link}"', text)
        config = layout.config(site)
        own = re.sub(r'unix_socket = "[^"]*"\n', "", config.read_text())
        own = own.replace("[nbd]\n", f'[nbd]\nunix_socket = "{place.socket(nbd_socket(site))}"\n')
        own = own.replace("[link]\n", f'[link]\nunix_socket = "{link}"\n')
        config.write_text(own)
    controller.write_text(text)
