"""Wrong passwords make the next attempt wait, ever longer: guessing is hopeless, and nobody is locked out for good.

Counted per user in the database, so that several controllers count together. Names that nobody has are counted like
the others: the answers must not tell which users there are. Attempts of which the outcome is not known yet are not
counted, or many honest clients at once would be held up: as many guesses as are checked at once (see `Passwords`) go
through together, and then count together.

The table is bounded by itself: each row has cost a password check, and is forgotten after `forget_seconds`.
"""

import hashlib
import math
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from bilocate.api.codes import Problem
from bilocate.config import IdentitySettings
from bilocate.store.columns import db_now
from bilocate.store.database import Database
from bilocate.store.identity_models import LoginFailure


def subject_of(*words: str) -> str:
    """What stands for one user, or for one name that nobody has: of a fixed length, whatever was sent."""
    return hashlib.sha256("\0".join(words).encode(errors="replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Attempts:
    """Keeps the count."""

    database: Database
    settings: IdentitySettings

    async def require_turn(self, subject: str) -> None:
        """:raises Problem: 429 with Retry-After while the last wrong password has to be waited for."""
        async with self.database.reading() as db:
            statement = select(LoginFailure.blocked_until, db_now()).where(LoginFailure.subject == subject)
            found = (await db.execute(statement)).one_or_none()
        if found is None or found[0] is None or found[0] <= found[1]:
            return
        seconds = math.ceil((found[0] - found[1]).total_seconds())
        raise Problem(
            429,
            f"too many wrong passwords for this user: try again in {seconds} s",
            headers={"Retry-After": str(seconds)},
        )

    async def failed(self, subject: str) -> None:
        """A password was wrong."""
        try:
            await self._count(subject)
        except IntegrityError:
            await self._count(subject)  # two first ones at once: now there is a row

    async def succeeded(self, subject: str) -> None:
        """A password was right: what was wrong before it is forgiven."""
        async with self.database.reading() as db:
            if await db.get(LoginFailure, subject) is None:
                return
        async with self.database.writing() as db:
            await db.execute(delete(LoginFailure).where(LoginFailure.subject == subject))

    async def _count(self, subject: str) -> None:
        settings = self.settings
        async with self.database.writing() as db:
            old = LoginFailure.failed_at < db_now(-settings.lockout_forget_seconds)
            await db.execute(delete(LoginFailure).where(old))
            found = await db.get(LoginFailure, subject, with_for_update=True)
            if found is None:
                found = LoginFailure(subject=subject, failures=0)
                db.add(found)
            found.failures += 1
            found.failed_at = db_now()
            beyond = found.failures - settings.lockout_free_failures
            if beyond >= 0:
                # 2 ** 30 s is longer than any limit, and a longer number would be no float.
                delay = settings.lockout_seconds_min * 2.0 ** min(beyond, 30)
                found.blocked_until = db_now(min(delay, settings.lockout_seconds_max))
