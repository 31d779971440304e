"""`up`, `down`, `site start|kill` with stand-ins for controller and agents that answer as they do."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Run

from bilocate.cli.layout import Layout
from bilocate.cli.processes import Daemon
from bilocate.cli.supervise import stop_all

# Answers /readyz as a controller and /v1/health as an agent; its kind and configuration are its arguments.
STAND_IN = """
import http.server, json, os, sys, tomllib
kind, _, config = sys.argv[1:]
settings = tomllib.load(open(config, "rb"))
port = settings["api" if kind == "controller" else "control"]["port"]

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        unlinked = json.loads(os.environ.get("STAND_IN_UNLINKED", "[]"))
        ready = {"status": "ok", "agents": {"az1": "ok", "az2": "ok"}, "unlinked_groups": unlinked}
        announced = os.environ.get("STAND_IN_ANNOUNCED", "yes") == "yes"
        known = {"/readyz": ready, "/v1/health": {"site": settings.get("site"), "announced": announced}}
        body = json.dumps(known[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)

    def command(daemon: Daemon) -> list[str]:
        return [sys.executable, str(script), daemon.kind, "--config", str(daemon.config)]

    monkeypatch.setattr(Daemon, "command", property(command))
    made = tmp_path / "installation"
    yield made
    stop_all(Layout.of(made))


def pids(state_dir: Path) -> dict[str, int]:
    return {path.stem: int(path.read_text()) for path in (state_dir / "pids").iterdir()}


def test_up_starts_all_and_again_only_what_is_missing(state_dir: Path, run: Run) -> None:
    result = run("up", "--state-dir", str(state_dir))
    assert result.exit_code == 0, result.output
    assert "http://127.0.0.1:" in result.stdout
    assert f"source {state_dir}/openrc" in result.stdout
    assert state_dir.stat().st_mode & 0o777 == 0o700
    first = pids(state_dir)
    assert sorted(first) == ["az1", "az2", "controller"]

    assert "running already" in run("up", "--state-dir", str(state_dir)).stderr
    assert pids(state_dir) == first

    assert run("site", "kill", "az1", "--state-dir", str(state_dir)).exit_code == 0
    again = run("up", "--state-dir", str(state_dir))
    assert again.exit_code == 0, again.output
    assert "started: az1" in again.stderr
    second = pids(state_dir)
    assert second["az1"] != first["az1"]
    assert second["controller"] == first["controller"]

    down = run("down", "--state-dir", str(state_dir))
    assert down.exit_code == 0, down.output
    assert pids(state_dir) == {}
    assert "nothing was running" in run("down", "--state-dir", str(state_dir)).stderr


def test_site_start_and_kill(state_dir: Path, run: Run) -> None:
    assert run("site", "start", "az1", "--state-dir", str(state_dir)).exit_code == 4
    assert run("up", "--state-dir", str(state_dir)).exit_code == 0
    assert run("site", "kill", "az2", "--state-dir", str(state_dir)).exit_code == 0
    assert "az2" not in pids(state_dir)
    started = run("site", "start", "az2", "--state-dir", str(state_dir))
    assert started.exit_code == 0, started.output
    assert "az2" in pids(state_dir)
    assert "already" in run("site", "start", "az2", "--state-dir", str(state_dir)).stderr
    assert run("site", "kill", "az9", "--state-dir", str(state_dir)).exit_code == 4


def test_up_is_done_only_when_the_sites_are_linked(
    state_dir: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_UNLINKED", '["a-group"]')
    monkeypatch.setattr("bilocate.cli.supervise.await_ready.__defaults__", (20.0, 0.2))
    result = run("up", "--state-dir", str(state_dir))
    assert result.exit_code == 1
    assert "a-group" in result.stderr
    assert "bilocate status" in result.stderr


def test_a_site_is_started_only_when_it_has_told_the_controllers(
    state_dir: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("up", "--state-dir", str(state_dir)).exit_code == 0
    assert run("site", "kill", "az2", "--state-dir", str(state_dir)).exit_code == 0
    monkeypatch.setenv("STAND_IN_ANNOUNCED", "no")
    monkeypatch.setattr("bilocate.cli.supervise.await_site.__defaults__", (0.5,))
    result = run("site", "start", "az2", "--state-dir", str(state_dir))
    assert result.exit_code == 1
    assert "has not reached a controller yet" in result.stderr


def test_a_process_that_ends_is_told_with_its_last_words(
    state_dir: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(daemon: Daemon) -> list[str]:
        return [sys.executable, "-c", "import sys; sys.exit('the disk is on fire')", str(daemon.config)]

    monkeypatch.setattr(Daemon, "command", property(command))
    result = run("up", "--state-dir", str(state_dir))
    assert result.exit_code == 1
    assert "controller.log" in result.stderr
    assert "the disk is on fire" in result.stderr


def test_a_directory_that_cant_be_used_is_told(tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_text("")
    result = run("up", "--state-dir", str(tmp_path / "file" / "below"))
    assert result.exit_code == 2
    assert "can't be used" in result.stderr


def test_completion_is_offered(run: Run) -> None:
    told = " ".join(run("--help").stdout.split())
    assert "--install-completion" in told
    assert "--show-completion" in told


def test_the_key_is_never_printed(state_dir: Path, run: Run) -> None:
    result = run("up", "--state-dir", str(state_dir))
    assert (state_dir / "key").read_text().strip() not in result.output
