"""Measurements in Prometheus' text format."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

from bilocate import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """What is told of one group. `behind_seconds`: since when the row has not been in sync; 0 while it is."""

    group_id: str
    status: str
    replication_status: str
    fault_level: str
    behind_seconds: float
    dirty_bytes: int


@dataclass(frozen=True, slots=True)
class Moment:
    """What is read from the database and the observer when the figures are asked for."""

    database_answers: bool
    sites: Iterable[tuple[str, bool]]
    groups: Iterable[GroupFigures]
    operations_under_way: int
    oldest_operation_seconds: float


class Metrics:
    """The controller's measurements, in a registry of their own."""

    def __init__(self, controller: str) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "bilocate_http_request_seconds",
            "Time to answer a request.",
            ("method", "route", "status"),
            registry=self._registry,
            buckets=(0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10),
        )
        self._groups = self._gauge(
            "bilocate_group_state",
            "1 for what a consistency group is now.",
            ("group", "status", "replication_status", "fault_level"),
        )
        self._behind = self._gauge(
            "bilocate_group_seconds_since_in_step",
            "How long ago both sites were last known to hold the same; 0 while they do.",
            ("group",),
        )
        self._dirty = self._gauge(
            "bilocate_group_dirty_bytes", "What may differ between the sites, as they last said.", ("group",)
        )
        self._sites = self._gauge("bilocate_site_up", "Whether a site's agent answers.", ("site",))
        self._database = self._gauge("bilocate_database_up", "Whether the database answers.")
        self._operations = self._gauge("bilocate_operations_under_way", "Operations that have not ended.")
        self._oldest = self._gauge(
            "bilocate_oldest_operation_seconds",
            "Since when the oldest operation under way has been; 0 without one.",
        )
        info = self._gauge("bilocate_controller_info", "Which controller this is; 1.", ("name", "version"))
        info.labels(controller, __version__).set(1)

    def measure(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        # A method that nobody knows would make a series of its own for every spelling.
        known = method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS") else "other"
        self._requests.labels(known, route, str(status)).observe(seconds)

    def text(self, moment: Moment) -> bytes:
        """All of it, as it is now. Without the database the groups and operations are left out: nothing is guessed."""
        for gauge in (self._groups, self._behind, self._dirty):
            gauge.clear()
        for each in moment.groups:
            labels = (each.group_id, each.status, each.replication_status, each.fault_level)
            self._groups.labels(*labels).set(1)
            self._behind.labels(each.group_id).set(each.behind_seconds)
            self._dirty.labels(each.group_id).set(each.dirty_bytes)
        for site, up in moment.sites:
            self._sites.labels(site).set(up)
        self._database.set(moment.database_answers)
        if moment.database_answers:
            self._operations.set(moment.operations_under_way)
            self._oldest.set(moment.oldest_operation_seconds)
        return generate_latest(self._registry)

    def _gauge(self, name: str, words: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(name, words, labels, registry=self._registry)
