"""Lists: which rows (filters), in which order, and which page of them.

Pages are found by where the marker's row stands in the order, not by counting: rows that come and go between
two pages neither hide others nor show them twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, and_, false, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from starlette.datastructures import QueryParams

from bilocate.api import fields
from bilocate.api.codes import BAD_LIMIT, BAD_MARKER, BAD_SORT_DIR, BAD_SORT_KEY, malformed
from bilocate.domain.zones import Zones
from bilocate.store.models import Attachment, Group, Pair, Volume

LIMIT_MAX = 1000
# Beyond it nothing could be: what does not fit the database's integers must not reach it.
OFFSET_MAX = 2**31

R = TypeVar("R", Volume, Pair, Group, Attachment)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list, in which order. `order` is of (sort key, descending)."""

    limit: int
    offset: int
    marker: str | None
    order: Sequence[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Listing(Generic[R]):
    """How one kind of thing is listed: its rows, and the columns behind the API's sort keys."""

    model: type[R]
    sort_keys: Mapping[str, InstrumentedAttribute[Any]]

    async def rows(
        self, db: AsyncSession, project_id: str, page: Page, conditions: Sequence[ColumnElement[bool]]
    ) -> list[R]:
        """The page's rows.

        :raises Problem: 400 when the marker is no row of this project.
        """
        model = self.model
        statement = select(model).where(model.project_id == project_id, *conditions)
        order = [(self._key(name), descending) for name, descending in page.order]
        # The id last: an order in which two rows are alike has no pages.
        order.append((model.id.expression, page.order[0][1]))
        if page.marker is not None:
            marker = await db.get(model, page.marker) if fields.is_identifier(page.marker) else None
            if marker is None or marker.project_id != project_id:
                raise malformed(f"marker {page.marker!r} is not in the list", BAD_MARKER)
            found = (await db.execute(select(*[key for key, _ in order]).where(model.id == marker.id))).one()
            statement = statement.where(_behind(order, list(found)))
        statement = statement.order_by(*[key.desc() if down else key.asc() for key, down in order])
        statement = statement.limit(page.limit).offset(page.offset)
        return list((await db.scalars(statement)).all())

    def _key(self, name: str) -> ColumnElement[Any]:
        column = self.sort_keys[name]
        # An empty value has no place in an order: rows that were never changed stand where they were made, pairs of no
        # group in front of all others.
        if name == "updated_at":
            return func.coalesce(column, self.model.created_at)
        nullable = self.model.__table__.columns[column.key].nullable
        return func.coalesce(column, "") if nullable else column.expression


def replication_page(query: QueryParams, sort_keys: Mapping[str, Any]) -> Page:
    """The page that a query asks for, strictly: a limit is 1 to 1000.

    :raises Problem: 400.
    """
    limit = _number(query, "limit", LIMIT_MAX, LIMIT_MAX)
    if limit < 1:
        raise malformed(f"limit must be from 1 to {LIMIT_MAX}", BAD_LIMIT)
    key = query.get("sort_key", "created_at")
    direction = query.get("sort_dir", "desc")
    return Page(limit, _offset(query), query.get("marker"), [_sort(key, direction, sort_keys)])


def volume_page(query: QueryParams, sort_keys: Mapping[str, Any]) -> Page:
    """The same by block storage's manners: a higher limit is taken for the highest, and there is `sort`.

    :raises Problem: 400.
    """
    limit = min(_number(query, "limit", LIMIT_MAX, OFFSET_MAX), LIMIT_MAX)
    if "sort" in query:
        parts = [part.strip().partition(":") for part in query["sort"].split(",")]
        order = [_sort(key, direction or "desc", sort_keys) for key, _, direction in parts]
    else:
        key, direction = query.get("sort_key", "created_at"), query.get("sort_dir", "desc")
        order = [_sort(key, direction, sort_keys)]
    return Page(limit, _offset(query), query.get("marker"), order)


def changed_since(query: QueryParams, model: type[R]) -> list[ColumnElement[bool]]:
    """The filter `changes-since`: made or changed at that time or later."""
    given = query.get("changes-since")
    if given is None:
        return []
    since = fields.time("changes-since", given)
    return [func.coalesce(model.updated_at, model.created_at) >= since]


def one_of(column: Any, words: Mapping[Any, str], given: str, strict: bool) -> ColumnElement[bool]:
    """The filter by a status in the API's word.

    :raises Problem: 400 for a word that there is not, where `strict`.
    """
    found = [state for state, word in words.items() if word == given]
    if not found:
        if strict:
            raise malformed(f"status {given!r} is not known: there is {', '.join(sorted(words.values()))}")
        return false()
    condition: ColumnElement[bool] = column == found[0]
    return condition


def at_site(column: Any, name: str, query: QueryParams, zones: Zones) -> ColumnElement[bool]:
    """The filter `name` by a zone, or by one of its sites."""
    asked = fields.checked_text(name, query[name])
    condition: ColumnElement[bool] = column.in_(zones.sites(asked) or [asked])
    return condition


def _behind(order: Sequence[tuple[Any, bool]], at: Sequence[Any]) -> ColumnElement[bool]:
    """Rows that stand behind the values `at`: later by the first key, or alike there and later by the second ..."""
    keys, directions = [key for key, _ in order], {descending for _, descending in order}
    if len(directions) == 1:
        # The same in one comparison, by which a database finds its place in an index.
        row = tuple_(*keys)
        there = tuple_(*(literal(value, key.type) for key, value in zip(keys, at, strict=True)))
        return row < there if True in directions else row > there
    cases = []
    for index, (key, descending) in enumerate(order):
        alike = [earlier == value for (earlier, _), value in zip(order[:index], at, strict=False)]
        cases.append(and_(*alike, key < at[index] if descending else key > at[index]))
    return or_(*cases)


def _sort(key: str, direction: str, sort_keys: Mapping[str, Any]) -> tuple[str, bool]:
    if key not in sort_keys:
        raise malformed(
            f"sort_key {key!r} is not known: there is {', '.join(sorted(sort_keys))}", BAD_SORT_KEY
        )
    if direction not in ("asc", "desc"):
        raise malformed(f"sort_dir {direction!r} must be asc or desc", BAD_SORT_DIR)
    return key, direction == "desc"


def _offset(query: QueryParams) -> int:
    return _number(query, "offset", 0, OFFSET_MAX)


def _number(query: QueryParams, key: str, default: int, most: int) -> int:
    given = query.get(key)
    if given is None:
        return default
    if not (given.isascii() and given.isdecimal()) or len(given) > 12 or int(given) > most:
        raise malformed(f"{key} {given!r} must be a whole number up to {most}", BAD_LIMIT)
    return int(given)
