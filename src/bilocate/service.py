"""The only place that wires the parts together: a controller's process and an agent's."""

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop

from bilocate.config import (
    ControllerConfig,
    SiteConfig,
    control_token,
    load_controller_config,
    load_site_config,
    read_key,
)
from bilocate.domain.errors import BilocateError
from bilocate.logs import configure_logging

if TYPE_CHECKING:
    from bilocate.operations.restore import Restored, Said
    from bilocate.store.database import Database

# The two processes share nothing but this file. Each imports its own half of the house when it starts: an agent
# that restarts is waited for, and the API's libraries alone take it most of a second.

log = structlog.get_logger("bilocate.service")

OPEN_FILES_MAX = 65536
DATABASE_LOOK_SECONDS = 1.0  # between looks at a database that is away when the controller starts


def run_controller(config: Path) -> None:
    """Serve until SIGTERM or SIGINT.

    :raises ConfigError, KeyFileError, DatabaseUnavailable, OSError: it can't start; nothing was begun.
    """
    configure_logging()
    _allow_many_connections()
    os.umask(0o077)  # the database holds the names of exports, by which anyone who knows them can write
    uvloop.run(_controller(load_controller_config(config)))


async def _controller(config: ControllerConfig) -> None:
    from bilocate.api.app import build_app
    from bilocate.api.context import Parts
    from bilocate.api.identity.first_admin import make_first_admin
    from bilocate.api.identity.keystone import Keystone
    from bilocate.api.identity.passwords import Passwords
    from bilocate.api.server import ApiServer, bind, public_url
    from bilocate.operations.service import Operations
    from bilocate.operations.settings import settings_of
    from bilocate.store.database import Database
    from bilocate.store.schema import upgrade

    token = control_token(read_key(config.key_file))
    stopping = _stop_signal()
    bound = bind(config.api)
    url = public_url(config.api, bound)
    settings = config.identity.keystone
    keystone = None if settings is None else Keystone(settings)
    database, passwords = Database(config.database_url), Passwords(config.identity)

    async def prepare() -> None:
        await upgrade(database)
        if keystone is None:  # it has users of its own
            await make_first_admin(database, passwords, config, url)

    try:
        await _first_of(stopping.wait(), _prepared(database, prepare))
        if stopping.is_set():
            return
        operations = Operations(database, settings_of(config, token))
        parts = Parts(config, database, operations, token, url, keystone)
        server = ApiServer(build_app(parts, passwords), config.api, bound, config.limits)
        await operations.start()
        try:
            await server.start()
            log.info("controller_ready", url=url, name=config.controller_name)
            await _first_of(stopping.wait(), server.ended())
            log.info("controller_stopping")
            operations.take_over_no_more()
            await server.stop(config.limits.shutdown_seconds)
        finally:
            await operations.stop()
    finally:
        passwords.close()
        if keystone is not None:
            await keystone.close()
        await database.close()


async def _prepared(database: "Database", prepare: Callable[[], Awaitable[None]]) -> None:
    """A server that is away is waited for: it may be starting too. SQLite's file is there, or something is wrong.

    :raises DatabaseUnavailable: an SQLite file can't be used.
    """
    from bilocate.store.database import DatabaseUnavailable

    while True:
        try:
            await prepare()
            return
        except DatabaseUnavailable as error:
            if database.is_sqlite:
                raise
            log.warning("controller_waits_for_database", error=str(error))
            await asyncio.sleep(DATABASE_LOOK_SECONDS)


def run_restore(
    config: Path, file: Path | None, primaries: Mapping[str, str], forget: bool
) -> "tuple[Restored, Path | None]":
    """Put a copy of the controllers' database back, if there is one, and take the database into use. Tells what was
    done, and where the database is kept that was there.

    :raises RestoreUnclear, BackupError, ConfigError, KeyFileError, DatabaseUnavailable, OSError: the database is not in
        use; what was put back stays sealed.
    """
    from bilocate.operations.restore import Said

    loaded = load_controller_config(config)
    return uvloop.run(_restore(loaded, file, Said(dict(primaries), forget)))


async def _restore(
    config: ControllerConfig, file: Path | None, said: "Said"
) -> "tuple[Restored, Path | None]":
    from bilocate.api.server import bind
    from bilocate.operations.restore import restore
    from bilocate.operations.service import Operations
    from bilocate.operations.settings import settings_of
    from bilocate.store.backup import put_back
    from bilocate.store.database import Database
    from bilocate.store.schema import upgrade

    # Held meanwhile: where this controller runs, or would start, it is noticed.
    with contextlib.closing(bind(config.api)):
        kept = None if file is None else put_back(config.database_url, file)
        database = Database(config.database_url)
        operations = Operations(database, settings_of(config, control_token(read_key(config.key_file))))
        try:
            await upgrade(database)
            return await restore(operations.context, said), kept
        finally:
            await operations.agents.close()
            await database.close()


class SiteCannotStart(BilocateError):
    """Something in the agent's surroundings is in the way; the message says what."""

    def __init__(self, site: str, cause: OSError) -> None:
        super().__init__(f"the agent of {site} can't start: {cause}")


def run_site(config: Path) -> None:
    """Run a site's agent until SIGTERM or SIGINT.

    :raises ConfigError, KeyFileError, LedgerError, SiteCannotStart: it can't start; nothing is served.
    """
    configure_logging()
    _allow_many_connections()
    uvloop.run(_site(load_site_config(config)))


async def _site(config: SiteConfig) -> None:
    from bilocate.site.agent import Agent

    stopping = _stop_signal()
    agent = Agent(config, read_key(config.key_file))
    try:
        await agent.start()
    except OSError as error:
        raise SiteCannotStart(config.site, error) from error
    try:
        await stopping.wait()
    finally:
        await agent.stop()


def _allow_many_connections() -> None:
    """Up to what the system allows: a service manager's usual 1024 open files are few for a crowd of clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _stop_signal() -> asyncio.Event:
    """Set when the process is asked to end."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    return asked


async def _first_of(*waits: Coroutine[None, None, object]) -> None:
    """Comes back when one of them does, with its error if it failed."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    for task in done:
        task.result()
