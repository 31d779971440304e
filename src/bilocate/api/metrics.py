"""Measurements in Prometheus' text format."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The controller's measurements, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "bilocate_http_request_seconds",
            "Time to answer a request.",
            ("method", "route", "status"),
            registry=self._registry,
            buckets=(0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10),
        )
        self._groups = Gauge(
            "bilocate_group_state",
            "1 for what a consistency group is now.",
            ("group", "status", "replication_status", "fault_level"),
            registry=self._registry,
        )
        self._sites = Gauge(
            "bilocate_site_up", "Whether a site's agent answers.", ("site",), registry=self._registry
        )

    def measure(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        # A method that nobody knows would make a series of its own for every spelling.
        known = method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS") else "other"
        self._requests.labels(known, route, str(status)).observe(seconds)

    def text(self, groups: Iterable[tuple[str, str, str, str]], sites: Iterable[tuple[str, bool]]) -> bytes:
        """All of it, with the groups (id, status, replication status, fault level) and sites of this moment."""
        self._groups.clear()
        for labels in groups:
            self._groups.labels(*labels).set(1)
        for site, up in sites:
            self._sites.labels(site).set(up)
        return generate_latest(self._registry)
