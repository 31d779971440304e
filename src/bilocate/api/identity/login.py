"""From the body of an authentication request to a token."""

from dataclasses import dataclass
from typing import Any, NoReturn

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.api.codes import BAD_TOKEN, Problem, malformed
from bilocate.api.identity.attempts import Attempts, subject_of
from bilocate.api.identity.passwords import Passwords
from bilocate.api.identity.tokens import Scope, find_project, find_token, hash_of, issue_token, roles_of
from bilocate.config import IdentitySettings
from bilocate.store.database import Database
from bilocate.store.identity_models import Domain, Project, Token, User

METHODS = ("password", "token")


def claimed_names(body: dict[str, Any]) -> dict[str, str]:
    """Who a login says to be, for the audit log, however wrong the rest of it is."""
    found: Any = body
    for key in ("auth", "identity", "password", "user"):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return {}
    claimed = {"claimed_user_id": found.get("id"), "claimed_user_name": found.get("name")}
    return {key: value for key, value in claimed.items() if isinstance(value, str)}


@dataclass(frozen=True, slots=True)
class Login:
    """Takes authentication requests."""

    database: Database
    passwords: Passwords
    settings: IdentitySettings

    @property
    def attempts(self) -> Attempts:
        """The count of wrong passwords."""
        return Attempts(self.database, self.settings)

    async def authenticate(self, body: dict[str, Any]) -> str:
        """A new token's secret.

        :raises Problem: 400 malformed, 401 not who it says or no role where it wants to, 429 after too many wrong
            passwords, 501 unknown method.
        """
        auth = _object(body, "auth")
        identity = _object(auth, "identity", "auth.")
        methods = _methods(identity)
        user_id, parent_secret = None, None
        if "password" in methods:
            user_id = await self._by_password(_object(identity, "password", "auth.identity."))
        if "token" in methods:
            parent_secret = _text(_object(identity, "token", "auth.identity."), "id", "auth.identity.token.")
            by_token = await self._by_token(parent_secret)
            if user_id not in (None, by_token):
                _refuse()
            user_id = by_token
        assert user_id is not None  # one of the two methods is there
        async with self.database.writing() as db:
            user = await db.get(User, user_id)
            parent = None if parent_secret is None else await db.get(Token, hash_of(parent_secret))
            if user is None or (parent_secret is not None and parent is None):
                _refuse()
            scope = await _scope(db, user, auth.get("scope"))
            return await issue_token(db, user, scope, methods, self.settings.token_seconds, parent)

    async def _by_password(self, given: dict[str, Any]) -> str:
        asked = _object(given, "user", "auth.identity.password.")
        password = _text(asked, "password", "auth.identity.password.user.")
        async with self.database.reading() as db:
            statement = select(User).join(Domain, Domain.id == User.domain_id)
            conditions = (_user_condition(asked), User.enabled, Domain.enabled)
            user = (await db.scalars(statement.where(*conditions))).one_or_none()
        subject = subject_of(user.id) if user else _subject(asked)
        await self._check(subject, user.password_hash if user else None, password)
        assert user is not None  # without a user no password is right
        return user.id

    async def check_password(self, user_id: str, kept: str, password: str) -> None:
        """Returns when it is the user's password.

        :raises Problem: 401 when it is not, 429 after too many wrong ones, 503 when too many checks are waiting.
        """
        await self._check(subject_of(user_id), kept, password)

    async def _check(self, subject: str, kept: str | None, password: str) -> None:
        await self.attempts.require_turn(subject)
        if not await self.passwords.matches(kept, password):
            await self.attempts.failed(subject)
            _refuse()
        await self.attempts.succeeded(subject)

    async def _by_token(self, secret: str) -> str:
        found = await find_token(self.database, secret)
        if found is None:
            _refuse()
        return found.user.id


def _methods(identity: dict[str, Any]) -> list[str]:
    methods = identity.get("methods")
    if not isinstance(methods, list) or not methods or not all(isinstance(each, str) for each in methods):
        raise malformed("auth.identity.methods must be a list of methods, such as ['password']")
    unknown = [each for each in methods if each not in METHODS]
    if unknown:
        raise Problem(501, f"the authentication method {unknown[0]!r} is not there: use password or token")
    return list(dict.fromkeys(methods))


def _user_condition(asked: dict[str, Any]) -> ColumnElement[bool]:
    if "id" in asked:
        return User.id == _text(asked, "id", "auth.identity.password.user.")
    name = _text(asked, "name", "auth.identity.password.user.")
    domain = _object(asked, "domain", "auth.identity.password.user.")
    return (User.name == name) & _domain_condition(domain, "auth.identity.password.user.domain.")


def _subject(asked: dict[str, Any]) -> str:
    """For a user that there is not: what was asked for."""
    if "id" in asked:
        return subject_of("id", asked["id"])
    domain = asked["domain"]
    return subject_of("name", asked["name"], str(domain.get("id")), str(domain.get("name")))


def _domain_condition(asked: dict[str, Any], where: str) -> ColumnElement[bool]:
    if "id" in asked:
        return Domain.id == _text(asked, "id", where)
    return Domain.name == _text(asked, "name", where)


async def _scope(db: AsyncSession, user: User, asked: Any) -> Scope:
    """What the token shall be for; without a wish the user's default project, if there is one."""
    if asked is None:
        return await _default_scope(db, user)
    if asked == "unscoped" or (isinstance(asked, dict) and "unscoped" in asked):
        return Scope()
    if not isinstance(asked, dict) or len(asked) != 1:
        raise malformed("auth.scope must be an object with one of: project, domain, unscoped")
    if "project" in asked:
        scope = await _project_scope(db, _object(asked, "project", "auth.scope."))
    elif "domain" in asked:
        scope = await _domain_scope(db, _object(asked, "domain", "auth.scope."))
    else:
        raise Problem(501, f"the scope {next(iter(asked))!r} is not there: use project or domain")
    if not await roles_of(db, user.id, scope):
        _refuse()
    return scope


async def _default_scope(db: AsyncSession, user: User) -> Scope:
    if user.default_project_id is None:
        return Scope()
    found = await find_project(db, Project.id == user.default_project_id)
    scope = Scope(project=found[0]) if found else Scope()
    return scope if await roles_of(db, user.id, scope) else Scope()


async def _project_scope(db: AsyncSession, asked: dict[str, Any]) -> Scope:
    if "id" in asked:
        condition = Project.id == _text(asked, "id", "auth.scope.project.")
    else:
        name = _text(asked, "name", "auth.scope.project.")
        domain = _object(asked, "domain", "auth.scope.project.")
        condition = (Project.name == name) & _domain_condition(domain, "auth.scope.project.domain.")
    found = await find_project(db, condition)
    if found is None:
        _refuse()
    return Scope(project=found[0])


async def _domain_scope(db: AsyncSession, asked: dict[str, Any]) -> Scope:
    condition = _domain_condition(asked, "auth.scope.domain.")
    domain = (await db.scalars(select(Domain).where(condition, Domain.enabled))).one_or_none()
    if domain is None:
        _refuse()
    return Scope(domain=domain)


def _refuse() -> NoReturn:
    # One sentence for all reasons: it must not tell which users and projects there are.
    raise Problem(401, "the user, the password or the scope is not right", BAD_TOKEN)


def _object(parent: dict[str, Any], key: str, where: str = "") -> dict[str, Any]:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise malformed(f"{where}{key} must be an object")
    return value


def _text(parent: dict[str, Any], key: str, where: str) -> str:
    value = parent.get(key)
    if not isinstance(value, str) or not value or "\0" in value or not _encodable(value):
        raise malformed(f"{where}{key} must be a text")
    return value


def _encodable(value: str) -> bool:
    """Half of a surrogate pair can be written in JSON but is no text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
