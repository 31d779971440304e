"""Roles by HTTP, and who has which where: /identity/v3/roles, …/users/{id}/roles and role_assignments."""

from typing import Any

from sqlalchemy import and_, delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response

from bilocate.api.codes import Problem
from bilocate.api.identity import last_admin
from bilocate.api.identity.access import READERS
from bilocate.api.identity.admin_path import Ask
from bilocate.api.identity.tokens import Scope, end_tokens, roles_of
from bilocate.api.identity.values import asked_object, changes, flag, found_or_404, page, require_free_name
from bilocate.api.identity.views import assignment_view, role_view
from bilocate.store.columns import db_now, new_id
from bilocate.store.identity_models import Domain, Project, Role, RoleAssignment, Token, User

KEY = "role"
KNOWN = ("name", "description")


async def create(ask: Ask) -> Response:
    """POST: 201. Roles beside admin, member and reader allow nothing here; other services may look at them."""
    values = changes(asked_object(ask.body, KEY, KNOWN), name_needed=True)
    async with ask.parts.database.writing() as db:
        role = Role(id=new_id().replace("-", ""), **values)
        await require_free_name(db, role)
        db.add(role)
        await db.flush()
        return JSONResponse({KEY: role_view(role, ask.base_url)}, 201)


async def index(ask: Ask) -> Response:
    """GET: all, or that of a `name`."""
    # A role of a domain of its own: there are none.
    foreign = [Role.id == ""] if ask.request.query_params.get("domain_id") else []
    async with ask.parts.database.reading() as db:
        rows, links = await page(ask, db, Role, *foreign)
    return JSONResponse({"roles": [role_view(row, ask.base_url) for row in rows], "links": links})


async def show(ask: Ask) -> Response:
    """GET of one."""
    async with ask.parts.database.reading() as db:
        role = await found_or_404(db, Role, ask.path["id"])
    return JSONResponse({KEY: role_view(role, ask.base_url)})


async def update(ask: Ask) -> Response:
    """PATCH: name and description; the names of admin, member and reader mean something."""
    values = changes(asked_object(ask.body, KEY, KNOWN), name_needed=False)
    async with ask.parts.database.writing() as db:
        role = await found_or_404(db, Role, ask.path["id"])
        if values.get("name", role.name) != role.name:
            _require_not_ours(role)
        for name, value in values.items():
            setattr(role, name, value)
        role.updated_at = db_now()
        await require_free_name(db, role)
        await db.flush()
        return JSONResponse({KEY: role_view(role, ask.base_url)})


async def remove(ask: Ask) -> Response:
    """DELETE: 204. Whoever had it has it no more; a token that had only this role ends."""
    async with ask.parts.database.writing() as db:
        role = await found_or_404(db, Role, ask.path["id"])
        _require_not_ours(role)
        held = (await db.scalars(select(RoleAssignment).where(RoleAssignment.role_id == role.id))).all()
        await db.delete(role)
        await db.flush()
        for assignment in held:
            await _end_tokens_without_role(db, assignment)
    return Response(status_code=204)


# --- who has which ---


async def grant(ask: Ask) -> Response:
    """PUT projects|domains/{target}/users/{user_id}/roles/{id}: 204, also when it was there already."""
    async with ask.parts.database.writing() as db:
        wanted = await _named(ask, db)
        if await db.get(RoleAssignment, _key(wanted)) is None:
            db.add(wanted)
    return Response(status_code=204)


async def check(ask: Ask) -> Response:
    """GET and HEAD of one: 204, or 404."""
    async with ask.parts.database.reading() as db:
        await _held(ask, db)
    return Response(status_code=204)


async def take(ask: Ask) -> Response:
    """DELETE of one: 204. It is in force at once."""
    async with ask.parts.database.writing() as db:
        await last_admin.begin(db)
        found = await _held(ask, db)
        await db.execute(delete(RoleAssignment).where(*_is(found)))
        await _end_tokens_without_role(db, found)
        await last_admin.require_admin_left(db)
    return Response(status_code=204)


async def held(ask: Ask) -> Response:
    """GET projects|domains/{target}/users/{user_id}/roles: the roles that a user has there."""
    async with ask.parts.database.reading() as db:
        await found_or_404(db, User, ask.path["user_id"])
        rows = await roles_of(db, ask.path["user_id"], await _scope(ask, db))
    links = {"self": f"{ask.base_url}/roles", "previous": None, "next": None}
    return JSONResponse({"roles": [role_view(row, ask.base_url) for row in rows], "links": links})


async def assignments(ask: Ask) -> Response:
    """GET role_assignments: by `user.id`, `role.id`, `scope.project.id`, `scope.domain.id`; names if wanted."""
    query = ask.request.query_params
    columns = {
        "user.id": RoleAssignment.user_id,
        "role.id": RoleAssignment.role_id,
        "scope.project.id": RoleAssignment.project_id,
        "scope.domain.id": RoleAssignment.domain_id,
    }
    conditions = [column == query[key] for key, column in columns.items() if key in query]
    if "group.id" in query or "scope.system" in query:
        conditions.append(RoleAssignment.user_id == "")  # there are neither groups nor roles of a system
    statement = (
        select(RoleAssignment, Role, User, Project, Domain)
        .join(Role, Role.id == RoleAssignment.role_id)
        .join(User, User.id == RoleAssignment.user_id)
        .outerjoin(Project, Project.id == RoleAssignment.project_id)
        .outerjoin(Domain, Domain.id == RoleAssignment.domain_id)
        .where(*conditions)
        .order_by(User.name, User.id, RoleAssignment.project_id, RoleAssignment.domain_id, Role.name)
    )
    names = bool(flag(query, "include_names"))
    async with ask.parts.database.reading() as db:
        rows = (await db.execute(statement)).all()
        domains = {row.id: row for row in (await db.scalars(select(Domain))).all()}
    told = [
        assignment_view(role, user, project, domain, domains if names else None, ask.base_url)
        for _, role, user, project, domain in rows
    ]
    links = {"self": f"{ask.base_url}/role_assignments", "previous": None, "next": None}
    return JSONResponse({"role_assignments": told, "links": links})


def _require_not_ours(role: Role) -> None:
    if role.name in READERS:
        raise Problem(
            403, f"the role {role.name} is what rights are made of here: it keeps its name and stays"
        )


async def _scope(ask: Ask, db: AsyncSession) -> Scope:
    if "project_id" in ask.path:
        return Scope(project=await found_or_404(db, Project, ask.path["project_id"]))
    return Scope(domain=await found_or_404(db, Domain, ask.path["domain_id"]))


async def _named(ask: Ask, db: AsyncSession) -> RoleAssignment:
    scope = await _scope(ask, db)
    user = await found_or_404(db, User, ask.path["user_id"])
    role = await found_or_404(db, Role, ask.path["id"])
    project_id, domain_id = (each.id if each else "" for each in (scope.project, scope.domain))
    return RoleAssignment(user_id=user.id, role_id=role.id, project_id=project_id, domain_id=domain_id)


async def _held(ask: Ask, db: AsyncSession) -> RoleAssignment:
    found = await db.get(RoleAssignment, _key(await _named(ask, db)))
    if found is None:
        raise Problem(404, "the user does not have that role there")
    return found


def _key(row: RoleAssignment) -> tuple[str, str, str, str]:
    return row.user_id, row.role_id, row.project_id, row.domain_id


def _is(row: RoleAssignment) -> tuple[Any, ...]:
    columns = RoleAssignment
    return (
        columns.user_id == row.user_id,
        columns.role_id == row.role_id,
        columns.project_id == row.project_id,
        columns.domain_id == row.domain_id,
    )


async def _end_tokens_without_role(db: AsyncSession, gone: RoleAssignment) -> None:
    """Tokens for a place where the user has no role any more: a role given anew must not wake an old token."""
    same = and_(
        RoleAssignment.user_id == gone.user_id,
        RoleAssignment.project_id == gone.project_id,
        RoleAssignment.domain_id == gone.domain_id,
    )
    if (await db.scalars(select(RoleAssignment.role_id).where(same).limit(1))).first() is None:
        place = Token.project_id == gone.project_id if gone.project_id else Token.domain_id == gone.domain_id
        await end_tokens(db, Token.user_id == gone.user_id, place)
