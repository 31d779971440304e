"""The audit log: one line for every call that may change something, refused ones and failed logins included.

The gate writes it, so no handler can be forgotten. It tells who (as far as the call told), what, from where and how
it ended; never a body, a header, a query or a secret.
"""

import logging
import os
from collections.abc import Mapping
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

import structlog
from starlette.requests import Request

READS = frozenset({"GET", "HEAD", "OPTIONS"})
TEXT_CHARACTERS_MAX = 300
_NOTES = "bilocate.audit"


def note(request: Request, **what: object) -> None:
    """What whoever handles a request wants in its line: who asks, the action and its opt-ins. No secrets."""
    notes_of(request.scope).update(what)


def notes_of(scope: Any) -> dict[str, object]:
    """What was noted so far."""
    noted: dict[str, object] = scope.setdefault(_NOTES, {})
    return noted


class AuditLog:
    """Writes the lines: to the log of everything, with `audit` true, or to a file of their own."""

    def __init__(self, file: Path | None = None) -> None:
        """`file` is made for its owner alone, appended to, and opened anew when it was moved away.

        :raises OSError: it can't be written.
        """
        self._log = structlog.get_logger("bilocate.audit") if file is None else _file_logger(file)

    def record(self, scope: Mapping[str, Any], status: int) -> None:
        """One call has ended."""
        client = scope.get("client")
        noted = {key: _bounded(value) for key, value in notes_of(scope).items()}
        self._log.info(
            "call",
            **{
                **noted,
                "audit": True,
                "method": scope["method"],
                "path": _bounded(scope["path"]),
                "status": status,
                "outcome": _outcome(status),
                "client": client[0] if client else None,
            },
        )


def _outcome(status: int) -> str:
    if status < 400:
        return "accepted"
    return "refused" if status < 500 or status == 501 else "failed"


def _bounded(value: object) -> object:
    return value[:TEXT_CHARACTERS_MAX] if isinstance(value, str) else value


class _FileLogger:
    """What structlog wants of a logger, over the standard library's file that log rotation may move away."""

    def __init__(self, file: Path) -> None:
        os.close(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        self._handler = WatchedFileHandler(file, encoding="utf-8", errors="backslashreplace")

    def info(self, line: str) -> None:
        """Append it."""
        self._handler.emit(logging.makeLogRecord({"msg": "%s", "args": (line,)}))


def _file_logger(file: Path) -> Any:
    return structlog.wrap_logger(
        _FileLogger(file),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
    )
