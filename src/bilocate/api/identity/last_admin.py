"""Whoever manages users can take the last admin's rights away, their own too: that is refused."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.api.codes import Problem
from bilocate.store.identity_models import Domain, Project, Role, RoleAssignment, User

ADMIN = "admin"


async def begin(db: AsyncSession) -> None:
    """Called first in a transaction that may take an admin away: two of these at once go one after the other,
    or each could leave the other's admin as the last one."""
    await db.execute(select(Role.id).where(Role.name == ADMIN).with_for_update())


async def require_admin_left(db: AsyncSession) -> None:
    """Called when the change is made and not yet committed.

    :raises Problem: 409 when no enabled user has the role admin in an enabled project any more.
    """
    await db.flush()
    statement = (
        select(func.count())
        .select_from(RoleAssignment)
        .join(Role, Role.id == RoleAssignment.role_id)
        .join(User, User.id == RoleAssignment.user_id)
        .join(Domain, Domain.id == User.domain_id)
        .join(Project, Project.id == RoleAssignment.project_id)
        .where(Role.name == ADMIN, User.enabled, User.password_hash != "", Domain.enabled, Project.enabled)
    )
    if not await db.scalar(statement):
        raise Problem(
            409,
            "this would leave no enabled user with the role admin in an enabled project, and nobody could undo it: "
            "give another user that role first",
        )
