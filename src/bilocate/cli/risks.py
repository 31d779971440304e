"""What is at risk now, why, and what to do: from what the API says of groups, pairs and sites. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bilocate.cli.client import Group, Pair
from bilocate.cli.waiting import failure_of

PRODUCTION_LOST = "2"  # fault_level: the production volumes can't be read and written
LINK_LOST = "5"  # fault_level: the secondary may be behind

_ERRORS = {
    "error_failovering": "the failover did not come to its end; repeat it: bilocate group failover {name}",
    "error_reversing": "the role swap did not come to its end; repeat it: bilocate group reverse {name}",
    "error_deleting": "it could not be deleted; repeat it: bilocate group delete {name}",
    "error": "see its failure_detail; start again with: bilocate group sync {name}",
}


@dataclass(frozen=True)
class Risk:
    """One thing a person should know; `urgent` when data or service is in danger now."""

    subject: str
    sentence: str
    urgent: bool


def all_risks(groups: Iterable[Group], pairs: Iterable[Pair], sites: Mapping[str, str]) -> list[Risk]:
    """Everything worth telling, the urgent first. `sites`: each site's problem, empty when it is well."""
    found = [Risk(f"site {site}", problem, urgent=True) for site, problem in sites.items() if problem]
    found += [risk for group in groups if (risk := group_risk(group)) is not None]
    found += [risk for pair in pairs if (risk := lone_pair_risk(pair)) is not None]
    return sorted(found, key=lambda risk: not risk.urgent)


def group_risk(group: Group) -> Risk | None:
    """What is wrong with a group; None when both sites hold every write and the other could take over now."""
    name = group["name"] or group["id"]
    status, replication = group["status"], group.get("replication_status")
    found = _failed(name, status, group) or _faulty(name, group) or _resting(name, status, replication, group)
    if found is None:
        return None
    sentence, urgent = found
    if group.get("bilocate:mixed_moments") and replication != "copying":
        sentence += (
            ". What the other site holds of its volumes is not known to be of one moment: until it was in step, even "
            "a forced failover is refused without --allow-mixed-moments"
        )
    return Risk(f"group {name}", sentence, urgent)


def lone_pair_risk(pair: Pair) -> Risk | None:
    """A pair outside any group is never replicated."""
    name = pair["name"] or pair["id"]
    if pair["status"].startswith("error"):
        return Risk(f"pair {name}", f"is {pair['status']}{failure_of(pair)}", urgent=True)
    if pair["replication_consistency_group_id"] or pair["status"] != "available":
        return None
    return Risk(
        f"pair {name}",
        f"is in no group, so nothing is replicated: bilocate group create NEW {name}",
        urgent=False,
    )


def _failed(name: str, status: str, group: Group) -> tuple[str, bool] | None:
    if not status.startswith("error"):
        return None
    advice = _ERRORS.get(status, _ERRORS["error"]).format(name=name)
    return f"is {status}{failure_of(group)}: {advice}", True


def _faulty(name: str, group: Group) -> tuple[str, bool] | None:
    site = group["priority_station"]
    if group.get("fault_level") == PRODUCTION_LOST:
        return (
            f"its volumes at {site} can't be read and written, and the other site is in step: "
            f"bilocate group failover {name}",
            True,
        )
    # While it is being copied it is behind too, and on its way: that is told below.
    if group.get("fault_level") == LINK_LOST and group.get("replication_status") != "copying":
        return (
            f"the other site is behind: what is written now exists at {site} alone. It catches up by itself "
            "once both sites' agents and the link between them are well",
            True,
        )
    return None


def _resting(name: str, status: str, replication: str | None, group: Group) -> tuple[str, bool] | None:
    site = group["priority_station"]
    if status == "failovered":
        return (
            f"runs at {site} alone since its failover; when the other site is back: "
            f"bilocate group reprotect {name}",
            True,
        )
    if replication == "copying":
        return (
            f"is being copied; until it is done what is written now exists at {site} alone, and a failover is refused",
            False,
        )
    if replication == "error":
        return f"a disk failed a read or write; replace it, then: bilocate group sync {name}", True
    if status == "available" and replication == "active-stopped":
        return f"is stopped; new writes go to {site} alone. Go on with: bilocate group sync {name}", False
    if status == "available" and replication == "inactive":
        return f"is not replicated; what {site} holds exists there alone: bilocate group sync {name}", False
    return None


def site_problems(ready: Mapping[str, Any]) -> dict[str, str]:
    """Each site the controller knows, with what is wrong with it, from /readyz."""
    agents = ready.get("agents")
    if not isinstance(agents, Mapping):
        return {}
    return {str(site): _agent_problem(str(site), told) for site, told in agents.items()}


def _agent_problem(site: str, told: Any) -> str:
    if told == "ok":
        return ""
    return (
        f"does not answer: {told}. Start it with: bilocate site start {site} --state-dir DIR, or read its log"
    )
