"""P6 LIVE: when everything is healthy, sessions come in step again and hosts are answered."""

from tests.sim.checkers.violation import Violation
from tests.sim.world.world import World


def converge(world: World, seconds: float) -> None:
    """In a healed world: every session comes in step, by itself."""

    def settled() -> bool:
        return all(world.in_step(session_id) for session_id in world.arbiter.rows)

    if not world.run_until(settled, seconds):
        what = {
            f"{session_id} at {site}": {
                key: told[key]
                for key in ("role", "state", "epoch", "refusal", "permit", "row")
                if key in told
            }
            for session_id in world.arbiter.rows
            for site in world.agents
            for told in [world.told(site, session_id)]
        }
        raise Violation("P6", f"not in step after {seconds:g} s in a healed world: {what}")
