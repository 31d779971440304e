"""Copies of the controllers' database, each sealed: whoever puts one back has to ask the sites first."""

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from bilocate.domain.errors import BilocateError
from bilocate.store.sealing import SEALED

DUMP_SECONDS = 3600
_SEAL = f"INSERT INTO sequences (name, value) VALUES ('{SEALED}', 1) ON CONFLICT DO NOTHING"  # noqa: S608


class BackupError(BilocateError):
    """A copy could not be made or put back; the message says why. Nothing was changed."""


def write_backup(database_url: str, file: Path) -> None:
    """Copy the database, as it is at one moment, into a new file that only its owner can read. Controllers may run.

    :raises BackupError: the file is there already, or the database can't be read.
    """
    url = make_url(database_url)
    if file.exists():
        raise BackupError(f"{file} is there already: give another name")
    file.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        if url.get_backend_name() == "sqlite":
            _copy_sqlite(Path(str(url.database)), file)
        else:
            _dump_postgresql(url, file)
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def put_back(database_url: str, file: Path) -> Path | None:
    """Put a copy in the place of a SQLite database; the one that was there is kept under the name that is returned.

    :raises BackupError: it is no SQLite database, or can't be read.
    """
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite":
        raise BackupError(
            f"the configuration names a PostgreSQL database: put {file} into it with psql, then run this without a file"
        )
    there = Path(str(url.database))
    kept = _move_away(there)
    scratch = there.with_name(f"{there.name}.new")
    shutil.copyfile(file, scratch)
    scratch.chmod(0o600)
    _run_sqlite(scratch, _SEAL)
    scratch.replace(there)
    return kept


def _move_away(there: Path) -> Path | None:
    if not there.exists():
        return None
    number = 1
    while (kept := there.with_name(f"{there.name}.before-restore-{number}")).exists():
        number += 1
    for suffix in ("", "-wal", "-shm"):
        part = there.with_name(there.name + suffix)
        if part.exists():
            part.replace(kept.with_name(kept.name + suffix))
    return kept


def _copy_sqlite(there: Path, file: Path) -> None:
    if not there.exists():
        raise BackupError(f"there is no database at {there}")
    try:
        source = sqlite3.connect(f"file:{there}?mode=ro", uri=True, timeout=30)
        target = sqlite3.connect(file)
        with target:
            source.backup(target)
        source.close()
        target.close()
    except sqlite3.Error as error:
        raise BackupError(f"{there} can't be copied: {error}") from error
    _run_sqlite(file, _SEAL)


def _run_sqlite(file: Path, statement: str) -> None:
    try:
        database = sqlite3.connect(file)
        with database:
            database.execute(statement)
        database.close()
    except sqlite3.Error as error:
        raise BackupError(f"{file} is no copy of a controllers' database: {error}") from error


def _dump_postgresql(url: URL, file: Path) -> None:
    plain = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    command = ["pg_dump", "--format=plain", "--no-owner", "--no-privileges", f"--dbname={plain}"]
    try:
        with file.open("wb") as out:
            done = subprocess.run(
                command,
                stdout=out,
                stderr=subprocess.PIPE,
                env=environment,
                timeout=DUMP_SECONDS,
                check=False,
            )
            if done.returncode == 0:
                out.write(f"\n{_SEAL.replace('INTO ', 'INTO public.')};\n".encode())
    except OSError as error:
        raise BackupError(
            f"pg_dump can't be run: {error}. It comes with PostgreSQL's client programs"
        ) from error
    if done.returncode:
        raise BackupError(f"pg_dump failed: {done.stderr.decode(errors='replace').strip()}")
