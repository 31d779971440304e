"""Is it alive, is it ready, and its figures. No token: what asks is a machine, and nothing told is a secret."""

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bilocate import __version__
from bilocate.api import wire
from bilocate.api.context import Parts
from bilocate.api.metrics import CONTENT_TYPE, GroupFigures, Metrics, Moment
from bilocate.api.open_path import OpenPath
from bilocate.api.truth import freshen, observed
from bilocate.operations.truth import dirty_bytes
from bilocate.store.columns import seconds_since
from bilocate.store.database import DatabaseUnavailable
from bilocate.store.models import Group, Session


def health_routes(parts: Parts, metrics: Metrics) -> list[BaseRoute]:
    """/healthz, /readyz, /metrics."""
    health = _Health(parts, metrics)
    table = {"/healthz": health.alive, "/readyz": health.ready, "/metrics": health.metrics}
    return [Route(path, OpenPath(path, {"GET": handler})) for path, handler in table.items()]


class _Health:
    def __init__(self, parts: Parts, metrics: Metrics) -> None:
        self._parts = parts
        self._metrics = metrics

    async def alive(self, request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok", "version": __version__})

    async def ready(self, request: Request) -> Response:
        """The database and all agents answer: 200, else 503 with what does not.

        With `?only=database` the agents are told but don't decide: for load balancers, which must not take
        every controller out when a site has died. Groups without a link are told and never decide.
        """
        database = await self._database()
        await freshen(self._parts)
        observer = self._parts.operations.observer
        agents = {}
        for site in sorted(self._parts.config.sites):
            report = observer.last(site)
            agents[site] = "ok" if report.answered else str(report.error or "was not asked yet")
        decides = (
            [database] if request.query_params.get("only") == "database" else [database, *agents.values()]
        )
        ok = all(each == "ok" for each in decides)
        body = {
            "status": "ok" if ok else "not ready",
            "database": database,
            "agents": agents,
            "unlinked_groups": await self._unlinked(),
        }
        headers = {} if ok else {"Retry-After": str(self._parts.config.limits.retry_after_seconds)}
        return JSONResponse(body, 200 if ok else 503, headers)

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text. A database that does not answer takes only the groups' and operations' figures away."""
        observer = self._parts.operations.observer
        sites = [(site, observer.last(site).answered) for site in self._parts.config.sites]
        try:
            groups = await self._groups()
            under_way, oldest = await self._parts.operations.journal.under_way()
            moment = Moment(True, sites, groups, under_way, oldest)
        except DatabaseUnavailable:
            moment = Moment(False, sites, [], 0, 0.0)
        return Response(self._metrics.text(moment), media_type=CONTENT_TYPE)

    async def _unlinked(self) -> list[str]:
        try:
            return await self._parts.operations.unlinked()
        except DatabaseUnavailable:
            return []

    async def _groups(self) -> list[GroupFigures]:
        async with self._parts.database.reading() as db:
            rows = list((await db.scalars(select(Group))).all())
            behind = select(Session.id, seconds_since(Session.behind_since)).where(
                Session.behind_since.is_not(None)
            )
            behind_seconds: dict[str, float] = {row[0]: float(row[1]) for row in await db.execute(behind)}
        seen = await observed(self._parts, (row.id for row in rows))
        return [
            GroupFigures(
                *wire.group_state(row, seen[row.id]),
                behind_seconds=behind_seconds.get(row.id, 0.0),
                dirty_bytes=dirty_bytes(self._parts.operations.context, row.id),
            )
            for row in rows
        ]

    async def _database(self) -> str:
        try:
            await self._parts.database.ping()
        except DatabaseUnavailable as error:
            return str(error)
        return "ok"
