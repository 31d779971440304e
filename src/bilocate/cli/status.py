"""`bilocate status`: one screen with sites, links, groups, and what is at risk now."""

from collections.abc import Collection, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from bilocate.cli import output
from bilocate.cli.client import Group, Pair, Volume
from bilocate.cli.options import JsonOption, StateDirOption, connected
from bilocate.cli.risks import Risk, all_risks, site_problems
from bilocate.cli.waiting import copied_of


def status(as_json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """Sites, links, groups, what is at risk now, why, and what to do."""
    with connected(state_dir) as client:
        _, ready = client.ready()
        groups, pairs, volumes = client.groups(), client.pairs(), client.volumes()
    sites = site_problems(ready)
    unlinked = frozenset(ready.get("unlinked_groups") or ())
    risks = all_risks(groups, pairs, sites)
    if as_json:
        output.print_json(_as_json(sites, unlinked, groups, pairs, volumes, risks))
        return
    console = output.out()
    console.print(_site_table(sites, volumes))
    console.print()
    console.print(
        _group_table(groups, pairs, unlinked) if groups else "No groups yet: bilocate group create --help"
    )
    console.print()
    if groups and not risks:
        console.print(Text("Nothing is at risk: every group is in step at both sites.", style=output.GOOD))
    for risk in risks:
        style = output.BAD if risk.urgent else output.BUSY
        console.print(
            Text.assemble(("! " if risk.urgent else "- ", style), (risk.subject, "bold"), " ", risk.sentence)
        )


def _site_table(sites: Mapping[str, str], volumes: list[Volume]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("site", "agent", "volumes", "size"):
        table.add_column(column)
    for site, problem in sorted(sites.items()):
        here = [volume for volume in volumes if volume.site == site]
        agent = Text("away", style=output.BAD) if problem else Text("there", style=output.GOOD)
        table.add_row(site, agent, str(len(here)), f"{sum(volume['size'] for volume in here)} GiB")
    return table


def _group_table(groups: list[Group], pairs: list[Pair], unlinked: Collection[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("group", "status", "replication", "primary", "link", "pairs", "copied"):
        table.add_column(column)
    for group in groups:
        members = [pair for pair in pairs if pair["replication_consistency_group_id"] == group["id"]]
        table.add_row(
            group["name"] or group["id"],
            output.coloured(group["status"]),
            output.coloured(group.get("replication_status")),
            group["priority_station"],
            _link(group, unlinked),
            str(len(members)),
            _progress(members),
        )
    return table


def _link(group: Group, unlinked: Collection[str]) -> Text:
    """A group that is stopped or was failed over wants no link."""
    if group["id"] in unlinked:
        return Text("lost", style=output.BAD)
    carries = group.get("replication_status") in ("active", "copying")
    return Text("up", style=output.GOOD) if carries else Text("at rest", style="dim")


def _progress(members: list[Pair]) -> str:
    copied = copied_of(members)
    if copied is None or not copied.total_bytes:
        return "-"
    percent = 100 * copied.done_bytes / copied.total_bytes
    return (
        f"{output.size_text(copied.done_bytes)} of {output.size_text(copied.total_bytes)} ({percent:.0f} %)"
    )


def _as_json(
    sites: Mapping[str, str],
    unlinked: Collection[str],
    groups: list[Group],
    pairs: list[Pair],
    volumes: list[Volume],
    risks: list[Risk],
) -> dict[str, Any]:
    return {
        "sites": {
            site: {"ready": not problem, "problem": problem or None} for site, problem in sites.items()
        },
        "unlinked_groups": sorted(unlinked),
        "groups": groups,
        "pairs": pairs,
        "volumes": volumes,
        "risks": [
            {"subject": risk.subject, "sentence": risk.sentence, "urgent": risk.urgent} for risk in risks
        ],
    }
