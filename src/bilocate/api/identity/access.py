"""Who may do what: the one place that decides it."""

from functools import partial

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.api.codes import BAD_TOKEN, NO_ROLE, WRONG_PROJECT, Problem
from bilocate.api.context import Caller, Parts
from bilocate.api.identity.tokens import find_token
from bilocate.domain.errors_operations import NotFound
from bilocate.operations.verb import Entering
from bilocate.store.identity_models import Project

READERS = frozenset({"reader", "member", "admin"})
WRITERS = frozenset({"member", "admin"})


async def authenticate(parts: Parts, secret: str | None) -> Caller:
    """The caller behind a token.

    :raises Problem: 401 when there is none, or it has ended, was revoked, or its user or project is disabled; 503 when
        Keystone, where it is the one that knows, can't be asked.
    """
    caller = None if not secret else await _caller(parts, secret)
    if caller is None:
        url = f"{parts.public_url}/identity/v3" if parts.keystone is None else parts.keystone.url
        raise Problem(
            401,
            f"no valid token in X-Auth-Token: get one with POST {url}/auth/tokens",
            BAD_TOKEN,
            {"WWW-Authenticate": f'Keystone uri="{url}"'},
        )
    return caller


async def _caller(parts: Parts, secret: str) -> Caller | None:
    if parts.keystone is not None:
        return await parts.keystone.caller(secret)
    found = await find_token(parts.database, secret)
    if found is None:
        return None
    names = frozenset(role.name for role in found.roles)
    return Caller(found.user.id, found.user.name, found.project.id if found.project else None, names)


def require_project(caller: Caller, project_id: str) -> None:
    """:raises Problem: 403 when the path names another project than the token; an admin may pass."""
    if caller.project_id != project_id and not caller.is_admin:
        raise Problem(
            403, f"the token is not for project {project_id}: ask with that project's", WRONG_PROJECT
        )


def require_right(caller: Caller, *, reading: bool) -> None:
    """:raises Problem: 403 when no role of the caller allows it. A reader reads, a member does everything."""
    if not caller.roles & (READERS if reading else WRITERS):
        needed = "reader, member or admin" if reading else "member or admin"
        has = ", ".join(sorted(caller.roles)) or "none"
        raise Problem(403, f"this needs the role {needed} in the project; the token has: {has}", NO_ROLE)


def may_write(caller: Caller) -> bool:
    """Whether the caller may do more than read."""
    return bool(caller.roles & WRITERS)


def require_admin(caller: Caller) -> None:
    """:raises Problem: 403."""
    if not caller.is_admin:
        raise Problem(403, "this needs the role admin", NO_ROLE)


def require_owner(caller: Caller, user_id: str) -> None:
    """:raises Problem: 403 for what belongs to another user; an admin may."""
    if caller.user_id != user_id and not caller.is_admin:
        raise Problem(403, "this is another user's: it needs the role admin", NO_ROLE)


def owner_held(parts: Parts, project_id: str) -> Entering | None:
    """What is to hold where something is made in a project. Keystone's projects are its own: it asks nobody before it
    deletes one."""
    return partial(hold_project, project_id=project_id) if parts.keystone is None else None


async def hold_project(db: AsyncSession, project_id: str) -> None:
    """Until the transaction ends the project is not deleted: what is made in it would be nobody's.

    :raises NotFound: it was deleted since the caller's token was looked at, or there never was one.
    """
    query = select(Project.id).where(Project.id == project_id).with_for_update(read=True, key_share=True)
    if (await db.scalars(query)).first() is None:
        raise NotFound("project", project_id)
