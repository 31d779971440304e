"""Users by HTTP: POST, GET, PATCH and DELETE of /identity/v3/users, and their passwords."""

from typing import Any

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from bilocate.api import fields
from bilocate.api.codes import malformed
from bilocate.api.identity import last_admin
from bilocate.api.identity.access import require_owner
from bilocate.api.identity.admin_path import Ask
from bilocate.api.identity.passwords import PASSWORD_BYTES_MAX
from bilocate.api.identity.projects import DEFAULT_DOMAIN
from bilocate.api.identity.tokens import end_tokens, projects_of
from bilocate.api.identity.values import asked_object, changes, flag, found_or_404, page, require_free_name
from bilocate.api.identity.views import projects_view, user_view
from bilocate.store.columns import db_now, new_id
from bilocate.store.identity_models import Domain, Project, Token, User

KEY = "user"
KNOWN = ("name", "description", "enabled", "email", "password", "default_project_id", "domain_id")


async def create(ask: Ask) -> Response:
    """POST: 201. Without a password nobody can log in as the user until an admin sets one."""
    asked = asked_object(ask.body, KEY, KNOWN)
    values = {**changes(asked, name_needed=True), **_more(asked)}
    values["password_hash"] = await _hashed(ask, asked, "password") or ""
    domain_id = fields.text(asked, "domain_id") or DEFAULT_DOMAIN
    async with ask.parts.database.writing() as db:
        await found_or_404(db, Domain, domain_id)
        if values.get("default_project_id") is not None:
            await found_or_404(db, Project, values["default_project_id"])
        user = User(id=new_id().replace("-", ""), domain_id=domain_id, **values)
        await require_free_name(db, user)
        db.add(user)
        await db.flush()
        return JSONResponse({KEY: user_view(user, ask.base_url)}, 201)


async def index(ask: Ask) -> Response:
    """GET: all, or those that `name`, `domain_id` and `enabled` name."""
    query = ask.request.query_params
    conditions = [User.domain_id == query["domain_id"]] if "domain_id" in query else []
    if (enabled := flag(query, "enabled")) is not None:
        conditions.append(User.enabled == enabled)
    async with ask.parts.database.reading() as db:
        rows, links = await page(ask, db, User, *conditions)
    return JSONResponse({"users": [user_view(row, ask.base_url) for row in rows], "links": links})


async def show(ask: Ask) -> Response:
    """GET of one: an admin anyone, everybody else themselves."""
    require_owner(ask.caller, ask.path["id"])
    async with ask.parts.database.reading() as db:
        user = await found_or_404(db, User, ask.path["id"])
    return JSONResponse({KEY: user_view(user, ask.base_url)})


async def projects(ask: Ask) -> Response:
    """GET of the projects in which a user has a role."""
    require_owner(ask.caller, ask.path["id"])
    async with ask.parts.database.reading() as db:
        await found_or_404(db, User, ask.path["id"])
        rows = await projects_of(db, ask.path["id"])
    return JSONResponse(projects_view(rows, ask.base_url, f"users/{ask.path['id']}/projects"))


async def update(ask: Ask) -> Response:
    """PATCH, by an admin. A new password, and disabling, end the user's tokens."""
    asked = asked_object(ask.body, KEY, KNOWN)
    values = {**changes(asked, name_needed=False), **_more(asked)}
    hashed = await _hashed(ask, asked, "password")
    if hashed is not None:
        values["password_hash"] = hashed
    async with ask.parts.database.writing() as db:
        await last_admin.begin(db)
        user = await found_or_404(db, User, ask.path["id"])
        if asked.get("domain_id", user.domain_id) != user.domain_id:
            raise malformed("a user stays in the domain")
        if values.get("default_project_id") is not None:
            await found_or_404(db, Project, values["default_project_id"])
        for name, value in values.items():
            setattr(user, name, value)
        user.updated_at = db_now()
        if "name" in values:
            await require_free_name(db, user)
        if values.get("enabled") is False:
            await last_admin.require_admin_left(db)
        if hashed is not None or values.get("enabled") is False:
            await end_tokens(db, Token.user_id == user.id)
        await db.flush()
        return JSONResponse({KEY: user_view(user, ask.base_url)})


async def change_password(ask: Ask) -> Response:
    """POST of one's own new password, with the old one: 204, and all tokens of the user end."""
    asked = fields.inner_object(ask.body, KEY)
    require_owner(ask.caller, ask.path["id"])
    old = fields.text(asked, "original_password", PASSWORD_BYTES_MAX)
    if old is None:
        raise malformed("original_password is missing: an admin sets a password with PATCH users/{id}")
    fields.required_text(asked, "password", PASSWORD_BYTES_MAX)
    async with ask.parts.database.reading() as db:
        user = await found_or_404(db, User, ask.path["id"])
    await ask.login.check_password(user.id, user.password_hash, old)
    hashed = await _hashed(ask, asked, "password")
    async with ask.parts.database.writing() as db:
        user = (await db.scalars(select(User).where(User.id == user.id).with_for_update())).one()
        user.password_hash = hashed or ""
        user.updated_at = db_now()
        await end_tokens(db, Token.user_id == user.id)
    return Response(status_code=204)


async def remove(ask: Ask) -> Response:
    """DELETE: 204. The user's tokens and roles go along."""
    async with ask.parts.database.writing() as db:
        await last_admin.begin(db)
        user = await found_or_404(db, User, ask.path["id"])
        await end_tokens(db, Token.user_id == user.id)
        await db.delete(user)
        await last_admin.require_admin_left(db)
    return Response(status_code=204)


def _more(asked: dict[str, Any]) -> dict[str, Any]:
    return {key: fields.text(asked, key) or None for key in ("email", "default_project_id") if key in asked}


async def _hashed(ask: Ask, asked: dict[str, Any], key: str) -> str | None:
    password = fields.text(asked, key, PASSWORD_BYTES_MAX)
    if password is None:
        return None
    if not password:
        raise malformed("an empty password is none")
    return await ask.login.passwords.hash(password)
