"""A real Keystone on loopback: its own database, keys and first admin, served by gunicorn."""

import os
import secrets
import signal
import socket
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from tests.real.harness.certificates import Authority
from tests.real.harness.waiting import wait_for
from tests.virtual_environment import being_made, installed_once

from bilocate.tls import client_context

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
COMMAND_SECONDS = 120
START_SECONDS = 60.0
END_SECONDS = 10

CONFIG = """\
[DEFAULT]
log_file = {root}/keystone.log
[database]
connection = sqlite:///{root}/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = {root}/fernet-keys
[fernet_receipts]
key_repository = {root}/fernet-keys
[credential]
key_repository = {root}/credential-keys
"""
# Its application reads the command line, so nothing may stand there: gunicorn finds this file where it is started.
GUNICORN = """\
bind = "127.0.0.1:{port}"
workers = 1
threads = 4
errorlog = "{root}/gunicorn.log"
wsgi_app = "keystone.wsgi.api:application"
"""


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def keystone_environment() -> Path:
    """The directory of the environment that has it."""
    with being_made("keystone") as directory:
        installed_once(
            directory, "installed.txt", REQUIREMENTS, ["--requirement", str(REQUIREMENTS)], clear=True
        )
    return directory


@dataclass
class KeystoneServer:
    """Below `root`. `programs`: where keystone-manage and gunicorn are."""

    root: Path
    programs: Path
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    authority: Authority | None = None  # with one it speaks TLS
    served_from: Path | None = None  # where gunicorn's own files are; None: root
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def _directory(self) -> Path:
        return self.served_from or self.root

    @property
    def url(self) -> str:
        """Of version 3."""
        return f"{'http' if self.authority is None else 'https'}://127.0.0.1:{self.port}/v3"

    def over_tls(self, directory: Path, authority: Authority) -> "KeystoneServer":
        """Another server of the same Keystone; it is not started."""
        served = replace(self, port=free_port(), authority=authority, served_from=directory, _process=None)
        certificate, key = authority.issue("keystone")
        served.configure(f'certfile = "{certificate}"\nkeyfile = "{key}"\n')
        return served

    def set_up(self) -> None:
        """Database, keys, the admin and the catalogue's entry of Keystone itself."""
        (self.root / "keystone.conf").write_text(CONFIG.format(root=self.root))
        self.configure()
        user = ["--keystone-user", "root", "--keystone-group", "root"] if os.geteuid() == 0 else []
        self._manage("db_sync")
        self._manage("fernet_setup", *user)
        self._manage("credential_setup", *user)
        self._manage(
            "bootstrap",
            f"--bootstrap-password={self.password}",  # in one word: it may begin with a dash
            "--bootstrap-region-id", "RegionOne",
            "--bootstrap-public-url", self.url, "--bootstrap-internal-url", self.url,
        )  # fmt: skip

    def configure(self, more: str = "") -> None:
        """What gunicorn finds where it is started."""
        text = GUNICORN.format(root=self._directory, port=self.port)
        (self._directory / "gunicorn.conf.py").write_text(text + more)

    def start(self) -> None:
        """Serve; ready when this comes back."""
        self._process = subprocess.Popen(
            [self.programs / "gunicorn"],
            cwd=self._directory,
            env=self._environment,
            start_new_session=True,
        )
        wait_for("answer of Keystone", self._answers, START_SECONDS, seen=self._logged)

    def stop(self) -> None:
        """Be away."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None

    def freeze(self, frozen: bool) -> None:
        """SIGSTOP: connections are taken, and nobody answers; or go on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def openrc(self, username: str, password: str, project: str) -> dict[str, str]:
        """What a client of this Keystone has in its environment."""
        return {
            "OS_AUTH_URL": self.url,
            "OS_USERNAME": username,
            "OS_PASSWORD": password,
            "OS_PROJECT_NAME": project,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_REGION_NAME": "RegionOne",
            "OS_IDENTITY_API_VERSION": "3",
        }

    @property
    def _environment(self) -> dict[str, str]:
        mine = {key: value for key, value in os.environ.items() if key != "PYTHONPATH" and key[:3] != "OS_"}
        return mine | {"OS_KEYSTONE_CONFIG_FILES": f"{self.root}/keystone.conf"}

    def _manage(self, *words: str) -> None:
        done = subprocess.run(
            [self.programs / "keystone-manage", "--config-file", f"{self.root}/keystone.conf", *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        assert done.returncode == 0, f"keystone-manage {words[0]}: {done.stderr[-2000:]}"

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"Keystone has ended: {self._logged()}"
        try:
            verify = client_context(self.authority.file if self.authority else None)
            return httpx.get(self.url, timeout=5, trust_env=False, verify=verify).status_code == 200
        except httpx.HTTPError:
            return False

    def _logged(self) -> str:
        logs = [self._directory / "gunicorn.log", self.root / "keystone.log"]
        return "\n".join(log.read_text()[-2000:] for log in logs if log.exists())
