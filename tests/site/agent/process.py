"""An agent as a process of its own, with free ports, in a directory of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from tests.site.agent.world import KEY

from bilocate.config import control_token
from bilocate.demo.nbd_client import NbdClient

TIMEOUT_SECONDS = 60


class Process:
    """`bilocate site --config` in a directory of its own."""

    def __init__(self, directory: Path, controller_url: str = "http://127.0.0.1:9") -> None:
        self.directory = directory
        self.link = directory / "process.sock"
        self._controller_url = controller_url
        self.config = directory / "site.toml"
        key = directory / "key"
        key.write_text(KEY.hex())
        key.chmod(0o600)
        self.configure()
        self.process: subprocess.Popen[str] | None = None
        self.http = httpx.Client(
            headers={"Authorization": f"Bearer {control_token(KEY)}"},
            trust_env=False,
            timeout=TIMEOUT_SECONDS,
        )
        self.control = ""

    def configure(self, more: str = "") -> None:
        lines = [
            'site = "az1"',
            f"state_dir = {json.dumps(str(self.directory / 'state'))}",
            f"key_file = {json.dumps(str(self.directory / 'key'))}",
            f"controller_urls = [{json.dumps(self._controller_url)}]",
            more,
            "[timeouts]",
            "heartbeat_seconds = 0.05",
            "heartbeat_timeout_seconds = 1.0",
            "restart_wait_seconds = 0.5",
            "[link]",
            f"unix_socket = {json.dumps(str(self.link))}",
            "[nbd]",
            f"port = {free_port()}",
        ]
        self.config.write_text("\n".join(lines) + "\n")

    def spawn(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "bilocate.cli", "site", "--config", str(self.config)]
        environment = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        return self.process

    def start(self) -> None:
        assert self.spawn().stdout is not None
        assert self.process is not None
        for line in self.process.stdout or ():
            event = json.loads(line)
            if event["event"] == "site_ready":
                self.control = event["control"]
                return
        raise AssertionError((self.process.stderr or sys.stderr).read())

    def put(self, path: str, body: Any) -> None:
        answer = self.http.put(self.control + path, json=body)
        assert answer.status_code == 200, answer.text

    async def connect(self, name: str) -> NbdClient:
        port = self.config.read_text().rpartition("port = ")[2].strip()
        return await NbdClient.connect(f"nbd://127.0.0.1:{port}/{name}")

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        assert self.process is not None
        self.process.send_signal(number)
        return self.outcome()

    def close(self) -> None:
        self.http.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def outcome(self) -> tuple[int, str, str]:
        assert self.process is not None
        out, errors = self.process.communicate(timeout=TIMEOUT_SECONDS)
        return self.process.returncode, out, errors


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
