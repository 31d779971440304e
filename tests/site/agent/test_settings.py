"""What a site's configuration says of sessions reaches their cores, each setting under its own name."""

from dataclasses import fields
from pathlib import Path

from bilocate.config import SiteConfig, SiteLimits, SiteTimeouts
from bilocate.replication.limits import Limits
from bilocate.site.agent import session_limits

# By the core's name, where the configuration has another one.
OTHERS = {"retry_seconds": "resync_retry_seconds"}
# What an agent has no setting for.
FIXED = {"retry_seconds_max", "failover_hold_seconds", "intents_ahead"}


def test_every_bound_and_time_of_a_session_can_be_set() -> None:
    names = [field.name for field in fields(Limits) if field.name not in FIXED]
    value = {OTHERS.get(name, name): number for number, name in enumerate(names, 1000)}
    limits = {field.name: value[field.name] for field in fields(SiteLimits) if field.name in value}
    timeouts = {field.name: value[field.name] for field in fields(SiteTimeouts) if field.name in value}
    assert {**limits, **timeouts} == value
    config = SiteConfig(
        "az1", Path("state"), Path("key"), (), limits=SiteLimits(**limits), timeouts=SiteTimeouts(**timeouts)
    )
    found = session_limits(config)
    assert {name: getattr(found, name) for name in names} == {
        name: number for number, name in enumerate(names, 1000)
    }
