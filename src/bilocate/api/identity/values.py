"""What bodies and queries about users, projects and roles say, checked; and lists, a page at a time."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import QueryParams

from bilocate.api import fields
from bilocate.api.codes import Problem, malformed
from bilocate.api.identity.admin_path import Ask
from bilocate.store.identity_models import Domain, Project, Role, User

Named = TypeVar("Named", Domain, Project, Role, User)
Json = dict[str, Any]

DESCRIPTION_BYTES_MAX = 4096
PAGE_MAX = 1000


def asked_object(body: Mapping[str, Any], key: str, known: Sequence[str]) -> Json:
    """The object under the body's outer key. What clients send beyond `known` is let pass while it says nothing: what
    would not be kept must not look as if it were.

    :raises Problem: 400.
    """
    asked = fields.inner_object(body, key)
    for name, value in asked.items():
        if name not in known and value not in (None, "", False, [], {}):
            raise malformed(f"{key}.{name} is not kept here; there is {', '.join(known)}")
    return asked


def changes(asked: Mapping[str, Any], *, name_needed: bool) -> Json:
    """Name, description and enabled, as far as they are given."""
    found: Json = {}
    if name_needed or "name" in asked:
        found["name"] = fields.required_text(asked, "name")
        if not found["name"].strip():
            raise malformed("name must not be blank")
    if "description" in asked:
        found["description"] = fields.text(asked, "description", DESCRIPTION_BYTES_MAX) or ""
    if asked.get("enabled") is not None:
        found["enabled"] = fields.boolean(asked, "enabled")
    return found


async def found_or_404(db: AsyncSession, kind: type[Named], key: str) -> Named:
    """The row of that id.

    :raises Problem: 404.
    """
    row = await db.get(kind, key)
    if row is None:
        raise Problem(404, f"there is no {kind.__name__.lower()} {key[:64]}")
    return row


async def require_free_name(db: AsyncSession, row: Named) -> None:
    """:raises Problem: 409 when another one has the name, in the same domain where there are domains."""
    kind = type(row)
    statement = select(kind.id).where(kind.name == row.name)
    if isinstance(row, Project):
        statement = statement.where(Project.domain_id == row.domain_id)
    elif isinstance(row, User):
        statement = statement.where(User.domain_id == row.domain_id)
    with db.no_autoflush:
        taken = [each for each in (await db.scalars(statement)).all() if each != row.id]
    if taken:
        raise Problem(
            409, f"there is a {kind.__name__.lower()} of the name {row.name!r} already: take another"
        )


async def page(ask: Ask, db: AsyncSession, kind: type[Named], *conditions: Any) -> tuple[list[Named], Json]:
    """The rows that fit, by name; and the answer's links. `limit` and `marker` are the query's.

    :raises Problem: 400.
    """
    query = ask.request.query_params
    limit = _limit(query)
    statement = select(kind).where(*conditions).order_by(kind.name, kind.id).limit(limit)
    if "name" in query:
        statement = statement.where(kind.name == query["name"])
    marker = query.get("marker")
    if marker is not None:
        last = await db.get(kind, marker)
        if last is None:
            raise malformed(f"marker {marker!r} is not in the list")
        behind = and_(kind.name == last.name, kind.id > last.id)
        statement = statement.where(or_(kind.name > last.name, behind))
    rows = list((await db.scalars(statement)).all())
    url = f"{ask.base_url}/{ask.request.url.path.removeprefix('/identity/v3/')}"
    onward = None
    if rows and len(rows) == limit:
        following = ask.request.url.include_query_params(marker=rows[-1].id, limit=limit)
        onward = f"{url}?{following.query}"
    return rows, {"self": url, "previous": None, "next": onward}


def flag(query: QueryParams, key: str) -> bool | None:
    """True or false from a query, as the many clients spell it; None when it is not there."""
    if key not in query:
        return None
    # Present without a value means yes.
    return query[key].lower() not in ("false", "0", "no", "off")


def _limit(query: QueryParams) -> int:
    given = query.get("limit", str(PAGE_MAX))
    if not (given.isascii() and given.isdecimal() and int(given[:9]) >= 1 and len(given) < 9):
        raise malformed(f"limit must be a whole number from 1 to {PAGE_MAX}")
    return min(int(given), PAGE_MAX)
