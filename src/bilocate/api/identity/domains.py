"""Domains by HTTP: looking only. There is one, made at the first start."""

from sqlalchemy import ColumnElement
from starlette.responses import JSONResponse, Response

from bilocate.api.identity.admin_path import Ask
from bilocate.api.identity.values import flag, found_or_404, page
from bilocate.api.identity.views import domain_view
from bilocate.store.identity_models import Domain


async def index(ask: Ask) -> Response:
    """GET: all, or that of a `name`."""
    conditions: list[ColumnElement[bool]] = []
    if (enabled := flag(ask.request.query_params, "enabled")) is not None:
        conditions.append(Domain.enabled == enabled)
    async with ask.parts.database.reading() as db:
        rows, links = await page(ask, db, Domain, *conditions)
    return JSONResponse({"domains": [domain_view(row, ask.base_url) for row in rows], "links": links})


async def show(ask: Ask) -> Response:
    """GET of one."""
    async with ask.parts.database.reading() as db:
        domain = await found_or_404(db, Domain, ask.path["id"])
    return JSONResponse({"domain": domain_view(domain, ask.base_url)})
