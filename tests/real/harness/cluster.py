"""An installation with several controllers on one PostgreSQL, as real processes."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row
from sqlalchemy.engine import make_url
from tests.real.harness.installation import SITES, Installation
from tests.real.harness.waiting import wait_for

from bilocate.cli.client import Client
from bilocate.cli.credentials import find_credentials
from bilocate.cli.installation import free_ports
from bilocate.cli.layout import CONTROLLER, Layout
from bilocate.cli.processes import Daemon
from bilocate.config import load_controller_config, load_site_config


@dataclass(frozen=True)
class ClusterLayout(Layout):
    """Controllers are named controller, controller2, controller3."""

    def daemon(self, name: str) -> Daemon:
        """Whatever is no site is a controller."""
        return replace(super().daemon(name), kind="controller" if name.startswith(CONTROLLER) else "site")

    def site_names(self) -> list[str]:
        """Without the other controllers."""
        return [name for name in super().site_names() if not name.startswith(CONTROLLER)]


class Cluster(Installation):
    """`controllers` of them on the database at `url`; agents are given all their addresses, in this order.

    With `wired` agents reach each controller over a wire of its own."""

    def __init__(
        self,
        root: Path,
        url: str,
        controllers: int = 2,
        settings: Mapping[str, str] | None = None,
        wired: bool = False,
    ) -> None:
        super().__init__(root, wired, settings)
        self.layout = ClusterLayout.of(root)
        self.url = url
        self.controllers = [CONTROLLER, *(f"{CONTROLLER}{number}" for number in range(2, controllers + 1))]
        self._clients: dict[str, Client] = {}
        self.use_database(url)
        first = self.layout.config(CONTROLLER).read_text()
        port = load_controller_config(self.layout.config(CONTROLLER)).api.port
        for name, other in zip(self.controllers[1:], free_ports(controllers - 1), strict=True):
            config = f'controller_name = "{name}"\n' + first.replace(
                f"\nport = {port}\n", f"\nport = {other}\n", 1
            )
            self.layout.config(name).write_text(config)
        for site in SITES:
            (first_url,) = load_site_config(self.layout.config(site)).controller_urls
            others = [self._way(site, name) for name in self.controllers[1:]]
            urls = ", ".join(f'"{url}"' for url in (first_url, *others))
            self.replace(site, f'["{first_url}"]', f"[{urls}]")

    @property
    def names(self) -> list[str]:
        """All processes."""
        return [*self.controllers, *SITES]

    def up(self) -> None:
        """Start what is not running, all controllers at the same moment; ready when this comes back."""
        for name in self.controllers[1:]:
            if self.layout.daemon(name).pid() is None:
                self.layout.daemon(name).start()
        super().up()
        for name in self.controllers:
            self.wait_ready(name)

    def end(self) -> None:
        """Kill everything that is left."""
        for name in self.controllers[1:]:
            self.layout.daemon(name).kill()
        for client in self._clients.values():
            client.close()
        super().end()

    def address(self, name: str) -> str:
        """Of a controller, without a path."""
        api = load_controller_config(self.layout.config(name)).api
        return f"http://{api.host}:{api.port}"

    def wait_ready(self, name: str) -> None:
        """Until a controller answers and knows its database."""

        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                path = f"{self.address(name)}/readyz?only=database"
                return httpx.get(path, timeout=3, trust_env=False).status_code == 200
            return False

        wait_for(f"answer of {name}", answers, 30.0, seen=lambda: self.log(name)[-2000:])

    def wait_stopped(self, name: str) -> float:
        """Until a process has stopped itself; tells when it was seen."""

        def stopped() -> bool:
            stat = Path(f"/proc/{self.pid(name)}/stat").read_text()
            return stat.rpartition(")")[2].split()[0] == "T"

        wait_for(f"stop of {name}", stopped, seen=lambda: self.log(name)[-2000:])
        self._stopped.add(name)
        return time.monotonic()

    def start_controller(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Start one; it is ready when this comes back."""
        self.start(name, environment, wait=False)
        self.wait_ready(name)

    def client_of(self, name: str, timeout_seconds: float = 30.0) -> Client:
        """The HTTP API's client at one controller, as the first admin."""
        if name not in self._clients:
            credentials = find_credentials(self.layout.root)
            path = credentials.auth_url.partition("://")[2].partition("/")[2]
            there = replace(credentials, auth_url=f"{self.address(name)}/{path}")
            self._clients[name] = Client(there, timeout_seconds)
        return self._clients[name]

    def query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Rows of the controllers' database; places are written as ?."""
        with self._connection() as db:
            return [dict(row) for row in db.execute(sql.replace("?", "%s").encode(), values)]

    def alter(self, sql: str, *values: object) -> None:
        """Change the controllers' database behind their backs."""
        with self._connection() as db:
            db.execute(sql.replace("?", "%s").encode(), values)

    def let_go_on(self, name: str) -> None:
        """SIGCONT for a process that has stopped itself."""
        os.kill(self.pid(name), signal.SIGCONT)
        self._stopped.discard(name)

    def _way(self, site: str, name: str) -> str:
        """The address at which a site's agent finds a controller other than the first."""
        if self.wires is None:
            return self.address(name)
        api = load_controller_config(self.layout.config(name)).api
        return f"http://127.0.0.1:{self._wire(self.wires, f'api {site} {name}', (api.host, api.port)).port}"

    def _connection(self) -> psycopg.Connection[dict[str, Any]]:
        plain = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(plain, row_factory=dict_row, autocommit=True)
