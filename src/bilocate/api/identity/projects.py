"""Projects by HTTP: POST, GET, PATCH and DELETE of /identity/v3/projects."""

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response

from bilocate.api import fields
from bilocate.api.codes import Problem, malformed
from bilocate.api.identity import last_admin
from bilocate.api.identity.access import require_admin
from bilocate.api.identity.admin_path import Ask
from bilocate.api.identity.tokens import end_tokens
from bilocate.api.identity.values import asked_object, changes, flag, found_or_404, page, require_free_name
from bilocate.api.identity.views import project_view
from bilocate.store.columns import db_now, new_id
from bilocate.store.identity_models import Domain, Project, RoleAssignment, Token, User
from bilocate.store.models import Group, Pair, Quota, Volume

KEY = "project"
KNOWN = ("name", "description", "enabled", "domain_id", "parent_id")
DEFAULT_DOMAIN = "default"


async def create(ask: Ask) -> Response:
    """POST: 201."""
    asked = asked_object(ask.body, KEY, KNOWN)
    values = changes(asked, name_needed=True)
    domain_id = fields.text(asked, "domain_id") or DEFAULT_DOMAIN
    if asked.get("parent_id") not in (None, domain_id):
        raise malformed("projects have no parents here but their domain: leave parent_id out")
    async with ask.parts.database.writing() as db:
        await found_or_404(db, Domain, domain_id)
        project = Project(id=new_id().replace("-", ""), domain_id=domain_id, **values)
        await require_free_name(db, project)
        db.add(project)
        await db.flush()
        return JSONResponse({KEY: project_view(project, ask.base_url)}, 201)


async def index(ask: Ask) -> Response:
    """GET: all, or those that `name`, `domain_id`, `parent_id` and `enabled` name."""
    query = ask.request.query_params
    conditions = [Project.domain_id == query[key] for key in ("domain_id", "parent_id") if key in query]
    if (enabled := flag(query, "enabled")) is not None:
        conditions.append(Project.enabled == enabled)
    async with ask.parts.database.reading() as db:
        rows, links = await page(ask, db, Project, *conditions)
    if flag(query, "is_domain"):
        rows = []  # a domain is no project here
    return JSONResponse({"projects": [project_view(row, ask.base_url) for row in rows], "links": links})


async def show(ask: Ask) -> Response:
    """GET of one: an admin any, everybody else the token's own."""
    if ask.path["id"] != ask.caller.project_id:
        require_admin(ask.caller)
    async with ask.parts.database.reading() as db:
        project = await found_or_404(db, Project, ask.path["id"])
    return JSONResponse({KEY: project_view(project, ask.base_url)})


async def update(ask: Ask) -> Response:
    """PATCH: name, description, enabled. The tokens of a project that is disabled end."""
    asked = asked_object(ask.body, KEY, KNOWN)
    values = changes(asked, name_needed=False)
    async with ask.parts.database.writing() as db:
        await last_admin.begin(db)
        project = await found_or_404(db, Project, ask.path["id"])
        if asked.get("domain_id", project.domain_id) != project.domain_id:
            raise malformed("a project stays in its domain")
        if asked.get("parent_id") not in (None, project.domain_id):
            raise malformed("a project's parent is its domain, and stays so")
        for name, value in values.items():
            setattr(project, name, value)
        project.updated_at = db_now()
        if "name" in values:
            await require_free_name(db, project)
        if values.get("enabled") is False:
            await last_admin.require_admin_left(db)
            await end_tokens(db, Token.project_id == project.id)
        await db.flush()
        return JSONResponse({KEY: project_view(project, ask.base_url)})


async def remove(ask: Ask) -> Response:
    """DELETE: 204, and the project's tokens end. One that has volumes, pairs or groups is refused: they would be
    nobody's, with hosts writing to them."""
    async with ask.parts.database.writing() as db:
        await last_admin.begin(db)
        project = await found_or_404(db, Project, ask.path["id"])
        # Whoever is making a volume in it holds it (see `hold_project`): waited for, so that the volume is seen.
        await db.execute(select(Project.id).where(Project.id == project.id).with_for_update())
        await _require_empty(db, project.id)
        await end_tokens(db, Token.project_id == project.id)
        await db.execute(delete(RoleAssignment).where(RoleAssignment.project_id == project.id))
        await db.execute(delete(Quota).where(Quota.project_id == project.id))
        statement = select(User).where(User.default_project_id == project.id)
        for user in (await db.scalars(statement)).all():
            user.default_project_id = None
        await db.delete(project)
        await last_admin.require_admin_left(db)
    return Response(status_code=204)


async def _require_empty(db: AsyncSession, project_id: str) -> None:
    counts = []
    for kind, what in ((Volume, "volumes"), (Pair, "pairs"), (Group, "groups")):
        rows = select(func.count()).select_from(kind).where(kind.project_id == project_id)
        count = await db.scalar(rows) or 0
        if count:
            counts.append(f"{count} {what}")
    if counts:
        raise Problem(
            409,
            f"the project still has {', '.join(counts)}: delete them first, or disable the project instead",
        )
