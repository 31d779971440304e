"""Daemons: started detached, recognised, stopped, killed; stale and reused pids never fooled or hit."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bilocate.cli.processes import Daemon

OBEDIENT = "import time\nprint('up', flush=True)\ntime.sleep(60)\n"
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + OBEDIENT


@dataclass(frozen=True)
class Script(Daemon):
    """A daemon that runs its configuration as a Python script, so that a test says what it does."""

    @property
    def command(self) -> list[str]:
        return [sys.executable, str(self.config)]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Script]:
    script = tmp_path / "az1.toml"
    script.write_text(OBEDIENT)
    made = Script("az1", "site", script, tmp_path / "pids" / "az1.pid", tmp_path / "logs" / "az1.log")
    yield made
    made.kill()


def await_output(daemon: Daemon) -> None:
    give_up = time.monotonic() + 10
    while not (daemon.log_file.exists() and daemon.log_file.read_text()):
        assert time.monotonic() < give_up, "the script did not start"
        time.sleep(0.01)


def test_a_daemon_is_detached_and_writes_pid_and_log(daemon: Script) -> None:
    pid = daemon.start()
    await_output(daemon)
    assert daemon.pid() == pid == int(daemon.pid_file.read_text())
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert daemon.log_file.stat().st_mode & 0o077 == 0
    assert daemon.last_words() == "up"


def test_stop_ends_it_in_order(daemon: Script) -> None:
    daemon.start()
    await_output(daemon)
    assert daemon.stop() is True
    assert daemon.pid() is None
    assert not daemon.pid_file.exists()
    assert daemon.stop() is False


def test_one_that_ignores_sigterm_is_killed(daemon: Script) -> None:
    daemon.config.write_text(DEAF)
    daemon.start()
    await_output(daemon)
    assert daemon.stop(timeout_seconds=0.2) is True
    assert daemon.pid() is None


def test_kill_is_immediate_and_counts_as_not_running(daemon: Script) -> None:
    daemon.start()
    assert daemon.kill() is True
    assert daemon.pid() is None
    assert daemon.kill() is False


def test_a_pid_file_left_by_a_crash_is_stale(daemon: Script) -> None:
    pid = daemon.start()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert daemon.pid_file.exists()
    assert daemon.pid() is None
    assert daemon.start() != pid


def test_a_zombie_does_not_run(daemon: Script) -> None:
    pid = daemon.start()
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped
    assert daemon.pid() is None
    os.waitpid(pid, 0)


def test_a_pid_reused_by_another_program_is_left_alone(daemon: Script) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        daemon.pid_file.parent.mkdir()
        daemon.pid_file.write_text(f"{stranger.pid}\n")
        assert daemon.pid() is None
        assert daemon.stop() is False
        assert daemon.kill() is False
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ["", "nonsense", "-1", "0"])
def test_a_broken_pid_file_counts_as_not_running(daemon: Script, content: str) -> None:
    daemon.pid_file.parent.mkdir()
    daemon.pid_file.write_text(content)
    assert daemon.pid() is None


def test_relative_import_paths_hold_although_daemons_run_in_the_root(
    daemon: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.config.write_text("import os\nprint(os.getcwd(), os.environ['PYTHONPATH'], flush=True)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "here")
    daemon.start()
    await_output(daemon)
    assert daemon.last_words() == f"/ {tmp_path / 'here'}"
