"""Checking passwords: slow on purpose, so off the event loop and only a few at once."""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from bilocate.api.codes import Problem
from bilocate.config import IdentitySettings

T = TypeVar("T")

# Longer ones would only be a way to make the controller hash megabytes.
PASSWORD_BYTES_MAX = 1024


class Passwords:
    """Argon2id in a few threads of its own."""

    def __init__(self, settings: IdentitySettings, hasher: PasswordHasher | None = None) -> None:
        """`hasher`: a cheaper one, for tests alone."""
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(settings.password_checks_max, thread_name_prefix="password")
        self._room = settings.password_checks_max + settings.password_checks_waiting_max
        self._under_way = 0
        self._decoy = _hash_of_nothing(self._hasher)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        return await self._run(lambda: self._hasher.hash(password.encode(errors="replace")))

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether it is the password. Without a user or a password (`kept` None or empty) it takes as long, and is
        never right: the time must not tell which users there are.

        :raises Problem: 503 when too many checks are waiting.
        """
        raw = password.encode(errors="replace")
        if len(raw) > PASSWORD_BYTES_MAX:
            kept, raw = None, b""  # nobody has such a password; and being refused costs time all the same
        return await self._run(lambda: self._verify(kept, raw))

    def _verify(self, kept: str | None, raw: bytes) -> bool:
        try:
            self._hasher.verify(kept or self._decoy, raw)
        except (VerificationError, InvalidHashError):
            return False
        return bool(kept)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._under_way >= self._room:
            raise Problem(503, "too many passwords are being checked: try again shortly")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def _hash_of_nothing(hasher: PasswordHasher) -> str:
    """Looks like a hash that `hasher` made, so that looking at it takes as long, and is of no password: drawn, for
    making one takes a quarter of a second of a controller's start."""
    salt, tag = (
        b64encode(secrets.token_bytes(length)).rstrip(b"=").decode()
        for length in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2{hasher.type.name.lower()}$v={ARGON2_VERSION}${cost}${salt}${tag}"
