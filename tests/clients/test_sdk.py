"""openstacksdk, as published: a program of both versions of its block storage proxy."""

from pathlib import Path

import pytest
from tests.clients.conftest import Shell

STORY = Path(__file__).with_name("sdk_story.py")


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_program_of_the_sdk(shell: Shell, version: str) -> None:
    done = shell.run("python", str(STORY), version)
    assert done.returncode == 0, done.stderr[-3000:]
