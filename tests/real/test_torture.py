"""A round of what `make torture` does for as long as one likes."""

from pathlib import Path

import pytest
from tests.torture.__main__ import seed_holds

SEED = 17  # short, with a failover, kills of agents and of the controller, a freeze, and a link that is lost


@pytest.mark.slow
def test_every_promise_is_kept_in_a_round_of_torture(tmp_path: Path) -> None:
    assert seed_holds(SEED, rounds=1, place=tmp_path / "torture", server=None), "see the captured output"
