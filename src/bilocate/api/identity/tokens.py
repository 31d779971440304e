"""Tokens: random secrets of which only the hash is kept; they end by time, by revocation, or with their user."""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, bindparam, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.store.columns import utc_now
from bilocate.store.database import Database
from bilocate.store.identity_models import Domain, Project, Role, RoleAssignment, Token, User

# What every call asks is built once: building a statement takes longer than its answer.
_VALID_TOKEN = (
    select(Token, User, Domain)
    .join(User, User.id == Token.user_id)
    .join(Domain, Domain.id == User.domain_id)
    .where(
        Token.secret_hash == bindparam("secret_hash"),
        Token.revoked_at.is_(None),
        Token.expires_at > bindparam("now"),
        User.enabled,
        Domain.enabled,
    )
)
_ENABLED_PROJECT = (
    select(Project, Domain)
    .join(Domain, Domain.id == Project.domain_id)
    .where(Project.enabled, Domain.enabled)
)
_PROJECT_OF_TOKEN = _ENABLED_PROJECT.where(Project.id == bindparam("project_id"))
_ROLES = (
    select(Role)
    .join(RoleAssignment, RoleAssignment.role_id == Role.id)
    .where(RoleAssignment.user_id == bindparam("user_id"))
    .order_by(Role.name)
)
_ROLES_IN_PROJECT = _ROLES.where(RoleAssignment.project_id == bindparam("project_id"))
_ROLES_IN_DOMAIN = _ROLES.where(RoleAssignment.domain_id == bindparam("domain_id"))


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is for: a project, a domain, or nothing yet. At most one is set."""

    project: Project | None = None
    domain: Domain | None = None


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token that is valid now, with everything an answer tells of it."""

    token: Token
    user: User
    user_domain: Domain
    project: Project | None
    project_domain: Domain | None
    domain: Domain | None
    roles: tuple[Role, ...]


def hash_of(secret: str) -> str:
    """What is kept of a token. A plain hash will do: the secret is random, so nobody can guess it."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


async def issue_token(
    db: AsyncSession,
    user: User,
    scope: Scope,
    methods: list[str],
    seconds: float,
    parent: Token | None = None,
) -> str:
    """Make a token and return its secret, which nobody can find out later.

    One made from another ends with it at the latest: or a stolen token could be renewed for ever.
    """
    secret = secrets.token_urlsafe(32)
    now = utc_now()
    ends = now + timedelta(seconds=seconds)
    token = Token(
        secret_hash=hash_of(secret),
        user_id=user.id,
        project_id=scope.project.id if scope.project else None,
        domain_id=scope.domain.id if scope.domain else None,
        methods=methods if parent is None else sorted({*parent.methods, *methods}),
        audit_id=_audit_id(),
        parent_audit_id=None if parent is None else parent.parent_audit_id or parent.audit_id,
        issued_at=now,
        expires_at=ends if parent is None else min(ends, parent.expires_at),
    )
    db.add(token)
    await db.execute(delete(Token).where(Token.expires_at < now))
    return secret


async def find_token(database: Database, secret: str) -> TokenView | None:
    """The valid token behind a secret; None for anything else.

    It is read from the database each time: a revocation is in force at once, on every controller.
    """
    async with database.reading() as db:
        return await _view(db, hash_of(secret))


async def _view(db: AsyncSession, secret_hash: str) -> TokenView | None:
    asked = {"secret_hash": secret_hash, "now": utc_now()}
    found = (await db.execute(_VALID_TOKEN, asked)).one_or_none()
    if found is None:
        return None
    token, user, user_domain = found
    project = project_domain = domain = None
    if token.project_id is not None:
        both = (await db.execute(_PROJECT_OF_TOKEN, {"project_id": token.project_id})).one_or_none()
        if both is None:
            return None
        project, project_domain = both
    if token.domain_id is not None:
        domain = await db.get(Domain, token.domain_id)
        if domain is None or not domain.enabled:
            return None
    roles = await roles_of(db, user.id, Scope(project, domain))
    if (project or domain) and not roles:
        return None  # the assignment was taken away since
    return TokenView(token, user, user_domain, project, project_domain, domain, tuple(roles))


async def find_project(db: AsyncSession, condition: ColumnElement[bool]) -> tuple[Project, Domain] | None:
    """The enabled project that fits, with its domain, which is enabled too."""
    found = (await db.execute(_ENABLED_PROJECT.where(condition))).one_or_none()
    return None if found is None else (found[0], found[1])


async def roles_of(db: AsyncSession, user_id: str, scope: Scope) -> list[Role]:
    """A user's roles where a token is for; none for an unscoped one."""
    if scope.project is not None:
        found = await db.scalars(_ROLES_IN_PROJECT, {"user_id": user_id, "project_id": scope.project.id})
    elif scope.domain is not None:
        found = await db.scalars(_ROLES_IN_DOMAIN, {"user_id": user_id, "domain_id": scope.domain.id})
    else:
        return []
    return list(found.all())


async def projects_of(db: AsyncSession, user_id: str) -> list[Project]:
    """The projects in which a user has a role."""
    statement = (
        select(Project)
        .join(RoleAssignment, RoleAssignment.project_id == Project.id)
        .join(Domain, Domain.id == Project.domain_id)
        .where(RoleAssignment.user_id == user_id, Project.enabled, Domain.enabled)
        .order_by(Project.name, Project.id)
        .distinct()
    )
    return list((await db.scalars(statement)).all())


async def revoke_token(db: AsyncSession, token: Token) -> None:
    """End a token now; with the first of a chain, every one that was made from it or from those."""
    family = or_(Token.secret_hash == token.secret_hash, Token.parent_audit_id == token.audit_id)
    await db.execute(update(Token).where(family, Token.revoked_at.is_(None)).values(revoked_at=utc_now()))


async def end_tokens(db: AsyncSession, *which: ColumnElement[bool]) -> None:
    """End all that fit, now and on every controller."""
    await db.execute(update(Token).where(*which, Token.revoked_at.is_(None)).values(revoked_at=utc_now()))


def _audit_id() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
