"""One installation in a directory of its own: a controller and two agents as real processes."""

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from tests.real.harness.proxy import Proxy, Wire, Wires
from tests.real.harness.waiting import wait_for

from bilocate.cli import supervise
from bilocate.cli.client import Client
from bilocate.cli.credentials import find_credentials
from bilocate.cli.installation import api_address, configure, control_of
from bilocate.cli.layout import CONTROLLER, Layout
from bilocate.config import load_controller_config

SITES = ("az1", "az2")
END_SECONDS = 10.0


class Installation:
    """Processes are started, stopped and killed by their ids alone.

    With `wired` every connection between the three processes goes over a wire of ours that can be cut.
    `settings`: further lines of TOML for a site or the controller, by name. `agents`: in each zone.
    """

    def __init__(
        self, root: Path, wired: bool = False, settings: Mapping[str, str] | None = None, agents: int = 1
    ) -> None:
        self.layout = Layout.of(root)
        self.wires = Wires() if wired else None
        self._stopped: set[str] = set()
        self._client: Client | None = None
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        configure(self.layout, None, list(SITES), agents)
        self._wires_of: dict[str, Proxy] = {}
        if self.wires is not None:
            self._put_wires_in(self.wires)
        for name, lines in (settings or {}).items():
            self.append_config(name, lines)

    # --- the whole ---

    @property
    def names(self) -> list[str]:
        """All processes."""
        return [CONTROLLER, *self.layout.site_names()]

    def up(self) -> None:
        """Start what is not running; ready when this comes back."""
        supervise.start_missing(self.layout)
        supervise.await_ready(self.layout)

    def end(self) -> None:
        """Kill everything that is left."""
        for daemon in supervise.daemons(self.layout):
            daemon.kill()
        if self._client is not None:
            self._client.close()
        if self.wires is not None:
            self.wires.close()

    @property
    def client(self) -> Client:
        """The HTTP API's client, as the first admin."""
        if self._client is None:
            self._client = Client(find_credentials(self.layout.root))
        return self._client

    # --- one process ---

    def pid(self, name: str) -> int:
        """Of the controller or a site's agent, which must be running."""
        pid = self.layout.daemon(name).pid()
        assert pid is not None, f"{name} is not running: {self.log(name)[-2000:]}"
        return pid

    def kill(self, *names: str) -> float:
        """SIGKILL, to all of them at the same moment; tells when (monotonic seconds)."""
        pids = [self.pid(name) for name in names]
        at = time.monotonic()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for name in names:
            self.layout.daemon(name).kill()  # waits for its end, and forgets it
            self._stopped.discard(name)
        return at

    def stop(self, name: str) -> None:
        """An orderly end."""
        self.layout.daemon(name).stop()

    def start(self, name: str, environment: Mapping[str, str] | None = None, wait: bool = True) -> None:
        """Start one process; `wait`: until it answers (and, an agent, until the controller knows it)."""
        with _environment(environment or {}):
            self.layout.daemon(name).start()
        if not wait:
            return
        if name == CONTROLLER:
            self.wait_controller()
        else:
            supervise.await_site(self.layout, name)

    def wait_controller(self) -> None:
        """Until the controller answers and has asked the agents, whatever they said."""

        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                agents = httpx.get(f"{self.api}/readyz", timeout=3, trust_env=False).json()["agents"]
                return all("was not asked" not in said for said in agents.values())
            return False

        wait_for("answer of the controller", answers, seen=lambda: self.log(CONTROLLER)[-2000:])

    def wait_agent(self, site: str) -> None:
        """Until a site's agent answers, known to the controller or not."""

        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return self.ask_agent(site, "health").get("site") == site
            return False

        wait_for(f"answer of {site}", answers, seen=lambda: self.log(site)[-2000:])

    def wait_dead(self, name: str) -> None:
        """Until a process has ended by itself."""
        daemon = self.layout.daemon(name)
        wait_for(f"end of {name}", lambda: daemon.pid() is None or _reaped(daemon.pid()), END_SECONDS)
        daemon.kill()

    def freeze(self, name: str) -> float:
        """SIGSTOP: it lives and does nothing, as a machine that hangs; tells when."""
        os.kill(self.pid(name), signal.SIGSTOP)
        self._stopped.add(name)
        return time.monotonic()

    def thaw(self, name: str) -> float:
        """SIGCONT."""
        at = time.monotonic()
        os.kill(self.pid(name), signal.SIGCONT)
        self._stopped.discard(name)
        return at

    # --- what can be seen from outside ---

    @property
    def api(self) -> str:
        """The controller's address, without a path."""
        return api_address(self.layout)

    def log(self, name: str) -> str:
        """What a process has said."""
        file = self.layout.daemon(name).log_file
        return file.read_text(errors="replace") if file.exists() else ""

    def ask_agent(self, site: str, path: str) -> dict[str, Any]:
        """What an agent tells at its control endpoint."""
        control = control_of(self.layout, site)
        answer = httpx.get(f"{control.url}/v1/{path}", headers=control.headers, timeout=5, trust_env=False)
        return dict(answer.raise_for_status().json())

    def resident_bytes(self, name: str) -> int:
        """The memory a process has."""
        for line in Path(f"/proc/{self.pid(name)}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel tells no VmRSS")

    def volume_file(self, site: str, volume_id: str) -> Path:
        """The file in which a site keeps a volume."""
        found = sorted((self.layout.data(site) / "volumes").glob(f"{volume_id}*"))
        assert len(found) == 1, f"{site} has {found} for volume {volume_id}"
        return found[0]

    def query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Rows of the controller's database (SQLite), read only."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.layout.root}/controller.db?mode=ro", uri=True, timeout=5)
        ) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql, values)]

    def alter(self, sql: str, *values: object) -> None:
        """Change the controller's database behind its back, for what no call leads to."""
        with contextlib.closing(sqlite3.connect(self.layout.root / "controller.db", timeout=5)) as db, db:
            db.execute(sql, values)

    # --- configuration and wires ---

    def append_config(self, name: str, lines: str) -> None:
        """Add to a configuration file; its process reads it at its next start."""
        file = self.layout.config(name)
        file.write_text(f"{file.read_text()}\n{lines}\n")

    def replace(self, name: str, old: str, new: str) -> None:
        """Change a configuration file in one place; its process reads it at its next start."""
        text = self.layout.config(name).read_text()
        assert text.count(old) == 1, f"{old} stands {text.count(old)} times in {name}'s configuration"
        self.layout.config(name).write_text(text.replace(old, new))

    def use_database(self, url: str) -> None:
        """Another database for the controller, before its first start."""
        self.replace(CONTROLLER, f'"sqlite+aiosqlite:///{self.layout.root}/controller.db"', f'"{url}"')

    def set_link(self, wire: Wire) -> None:
        """Change the wires between the two agents, whoever dials whom."""
        assert self.wires is not None
        self.wires.set(wire, *(self._wires_of[f"link {site}"] for site in SITES))

    def isolate(self, site: str, wire: Wire) -> None:
        """Change all wires of a site but those of its hosts."""
        assert self.wires is not None
        whole = [*(f"link {each}" for each in SITES), f"control {site}"]
        names = [name for name in self._wires_of if name in whole or name.startswith(f"api {site}")]
        self.wires.set(wire, *(self._wires_of[name] for name in names))

    def link_bytes(self) -> int:
        """What has crossed the wires between the agents, both ways."""
        links = [self._wires_of[f"link {site}"] for site in SITES]
        return sum(proxy.to_target_bytes + proxy.from_target_bytes for proxy in links)

    def _put_wires_in(self, wires: Wires) -> None:
        config = load_controller_config(self.layout.config(CONTROLLER))
        for site, address in config.sites.items():
            link = self._wire(wires, f"link {site}", _target(f"tcp://{address.link_address}"))
            control = self._wire(wires, f"control {site}", _target(address.control_url))
            api = self._wire(wires, f"api {site}", (config.api.host, config.api.port))
            self.replace(CONTROLLER, f'"{address.link_address}"', f'"127.0.0.1:{link.port}"')
            self.replace(CONTROLLER, f'"{address.control_url}"', f'"http://127.0.0.1:{control.port}"')
            self.replace(
                site, f'"http://{config.api.host}:{config.api.port}"', f'"http://127.0.0.1:{api.port}"'
            )

    def _wire(self, wires: Wires, name: str, target: tuple[str, int]) -> Proxy:
        self._wires_of[name] = wires.add(target)
        return self._wires_of[name]


def _target(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def _reaped(pid: int | None) -> bool:
    if pid is None:
        return True
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return not Path(f"/proc/{pid}").exists()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """What is started meanwhile has these in its environment too."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
