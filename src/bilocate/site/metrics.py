"""An agent's figures in Prometheus' text format. There is one series per session and bound, whatever hosts do."""

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

from bilocate.site.busy_poll import BusyPoll
from bilocate.site.figures import LATENCY_BOUNDS, Latencies, SessionFigures
from bilocate.site.ledger import LedgerStats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# The label of volumes that are in no session.
NO_SESSION = ""

_HELP = {
    "bilocate_session_state": ("gauge", "1 for the role and the state that a session has at this site."),
    "bilocate_session_in_step": ("gauge", "Whether every write goes to both sites, as this site sees it."),
    "bilocate_session_dirty_bytes": ("gauge", "What may differ between the sites, as this site knows it."),
    "bilocate_session_unanswered_bytes": ("gauge", "Writes of hosts that are not answered yet."),
    "bilocate_session_hosts_held": ("gauge", "Whether hosts that had been answered are held now."),
    "bilocate_session_stalls_total": ("counter", "How often hosts were held: a lost link, or a reversal."),
    "bilocate_session_held_seconds_total": ("counter", "For how long hosts were held."),
    "bilocate_session_link_bytes_total": ("counter", "Bytes on the links to the other site."),
    "bilocate_write_seconds": (
        "histogram",
        "From a host's write to its answer; one write of 16 is measured.",
    ),
    "bilocate_host_connections": ("gauge", "Hosts' connections to the volumes of a session."),
    "bilocate_ledger_commits_total": ("counter", "Changes to the ledger that something waited for."),
    "bilocate_ledger_transactions_total": ("counter", "Transactions that made them durable, many at once."),
    "bilocate_ledger_checkpoints_total": (
        "counter",
        "How often the ledger's log was moved into its database.",
    ),
    "bilocate_busy_poll_seconds_total": ("counter", "For how long the agent was awake to look for requests."),
    "bilocate_busy_poll_rests_total": ("counter", "How often it slept again because CPUs were short."),
    "bilocate_site_info": ("gauge", "Which agent this is; 1."),
}


class Page:
    """Collects series and writes them out, each name with its help once."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {name: [] for name in _HELP}

    def add(self, name: str, value: float, suffix: str = "", **labels: str) -> None:
        """One series; `suffix` is that of a histogram's parts."""
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        self._lines[name].append(f"{name}{suffix}{{{told}}} {value:.10g}")

    def add_histogram(self, name: str, latencies: Iterable[Latencies], **labels: str) -> None:
        """Several volumes' together."""
        parts = list(latencies)
        counts = [sum(each.counts[place] for each in parts) for place in range(len(LATENCY_BOUNDS) + 1)]
        for bound, count in zip((*LATENCY_BOUNDS, "+Inf"), accumulate(counts), strict=True):
            self.add(name, count, "_bucket", **labels, le=str(bound))
        self.add(name, sum(each.seconds for each in parts), "_sum", **labels)
        self.add(name, sum(counts), "_count", **labels)

    def text(self) -> str:
        """The whole page."""
        parts = []
        for name, lines in self._lines.items():
            kind, words = _HELP[name]
            parts += [f"# HELP {name} {words}", f"# TYPE {name} {kind}", *lines]
        return "\n".join(parts) + "\n"


def add_ledger(page: Page, stats: LedgerStats) -> None:
    """What the ledger's thread has done in this life of the agent."""
    page.add("bilocate_ledger_commits_total", stats.commits)
    page.add("bilocate_ledger_transactions_total", stats.transactions)
    page.add("bilocate_ledger_checkpoints_total", stats.checkpoints)


def add_busy_poll(page: Page, poll: BusyPoll) -> None:
    """What waiting awake has cost in this life of the agent, at most: it worked meanwhile, too."""
    page.add("bilocate_busy_poll_seconds_total", poll.awake_seconds())
    page.add("bilocate_busy_poll_rests_total", poll.rests)


def add_session(
    page: Page, session_id: str, told: dict[str, Any], figures: SessionFigures, now: float
) -> None:
    """One session: what it tells anyway, and what was counted beside."""
    labels = {"session": session_id}
    link = told["link"]
    page.add("bilocate_session_state", 1, **labels, role=told["role"], state=told["state"])
    page.add("bilocate_session_in_step", told["in_step"], **labels)
    page.add("bilocate_session_dirty_bytes", sum(each["dirty_bytes"] for each in told["volumes"]), **labels)
    page.add("bilocate_session_unanswered_bytes", told["unanswered"]["bytes"], **labels)
    page.add("bilocate_session_hosts_held", figures.held, **labels)
    page.add("bilocate_session_stalls_total", figures.stalls, **labels)
    page.add("bilocate_session_held_seconds_total", figures.held_seconds(now), **labels)
    for way, ended, present in (
        ("in", figures.ended_links_bytes_in, link["bytes_in"]),
        ("out", figures.ended_links_bytes_out, link["bytes_out"]),
    ):
        page.add("bilocate_session_link_bytes_total", ended + present, **labels, direction=way)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
