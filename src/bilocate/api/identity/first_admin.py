"""The first start: a domain, a project, the roles and one admin, whose password goes into the openrc."""

import asyncio
import os
import secrets
from pathlib import Path
from shlex import quote

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from bilocate.api.identity.passwords import Passwords
from bilocate.config import ControllerConfig
from bilocate.store.columns import new_id
from bilocate.store.database import Database
from bilocate.store.identity_models import Domain, Project, Role, RoleAssignment, User

log = structlog.get_logger("bilocate.identity")

DOMAIN_ID, DOMAIN_NAME = "default", "Default"
ROLES = ("admin", "member", "reader")


async def make_first_admin(
    database: Database, passwords: Passwords, config: ControllerConfig, public_url: str
) -> None:
    """Does nothing when there are users already, as after every start but the first."""
    openrc = config.openrc_file
    # Another controller on this machine may begin at the same moment, and only one of both passwords is right.
    scratch = openrc.with_name(f"{openrc.name}.{config.controller_name}.new")
    async with database.reading() as db:
        users = await db.scalar(select(func.count()).select_from(User))
    if users:
        # A kill between the commit and the renaming below: the password is in the scratch file alone.
        if scratch.exists() and not openrc.exists():
            scratch.replace(openrc)
        return
    password = secrets.token_urlsafe(24)
    hashed = await passwords.hash(password)
    project_id = new_id().replace("-", "")
    await asyncio.to_thread(_write_private, scratch, _openrc(config, public_url, password, project_id))
    try:
        await _insert(database, config, hashed, project_id)
    except IntegrityError:
        scratch.unlink(missing_ok=True)  # another controller on the same database was first
        log.info("first_admin_made_elsewhere")
        return
    scratch.replace(openrc)
    log.info("first_admin_made", openrc=str(openrc))


async def _insert(database: Database, config: ControllerConfig, hashed: str, project_id: str) -> None:
    identity = config.identity
    async with database.writing() as db:
        db.add(Domain(id=DOMAIN_ID, name=DOMAIN_NAME, description="The domain of everyone."))
        await db.flush()
        db.add(Project(id=project_id, domain_id=DOMAIN_ID, name=identity.admin_project))
        user = User(
            id=new_id().replace("-", ""),
            domain_id=DOMAIN_ID,
            name=identity.admin_username,
            password_hash=hashed,
            default_project_id=project_id,
        )
        roles = [Role(id=new_id().replace("-", ""), name=name) for name in ROLES]
        db.add_all([user, *roles])
        await db.flush()
        db.add(RoleAssignment(user_id=user.id, role_id=roles[0].id, project_id=project_id, domain_id=""))
        db.add(RoleAssignment(user_id=user.id, role_id=roles[0].id, project_id="", domain_id=DOMAIN_ID))


def _openrc(config: ControllerConfig, public_url: str, password: str, project_id: str) -> str:
    values = {
        "OS_AUTH_URL": f"{public_url}/identity/v3",
        "OS_USERNAME": config.identity.admin_username,
        "OS_PASSWORD": password,
        "OS_PROJECT_NAME": config.identity.admin_project,
        "OS_PROJECT_ID": project_id,
        "OS_USER_DOMAIN_NAME": DOMAIN_NAME,
        "OS_PROJECT_DOMAIN_NAME": DOMAIN_NAME,
        "OS_IDENTITY_API_VERSION": "3",
        "OS_REGION_NAME": config.region,
    }
    if config.api.tls_ca_file is not None:
        values["OS_CACERT"] = str(config.api.tls_ca_file)
    return "".join(f"export {name}={quote(value)}\n" for name, value in values.items())


def _write_private(file: Path, text: str) -> None:
    """A file that nobody else could read at any moment, on the disk when this returns."""
    file.unlink(missing_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)
