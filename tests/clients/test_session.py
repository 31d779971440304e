"""bilocate.client over a session of the published keystoneauth1."""

from pathlib import Path

from tests.clients.conftest import Shell

STORY = Path(__file__).with_name("session_story.py")


def test_a_program_with_a_session_of_its_own(shell: Shell) -> None:
    done = shell.run("python", str(STORY))
    assert done.returncode == 0, done.stderr[-3000:]
