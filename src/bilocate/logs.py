"""One JSON object per event, on standard output: for people with a pager and for programs alike."""

import logging
import re
import sys
from contextlib import AbstractContextManager, nullcontext

import structlog


def configure_logging(level: int = logging.INFO) -> None:
    """Send our own events and those of the libraries the same way. Called once, before anything is logged."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries tell every request at INFO; we tell ours ourselves.
    root.setLevel(max(level, logging.WARNING))


# What may be a request's id: nothing that could break a log or a header.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
REQUEST_ID_HEADER = "X-Request-Id"


def fit_request_id(given: str | None) -> str | None:
    """The id that a caller gave its request, if it can be one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else None


def present_request_id() -> str | None:
    """The id of the request that is served now, or that began the operation which is carried on now."""
    found = structlog.contextvars.get_contextvars().get("request_id")
    return found if isinstance(found, str) else None


def under_request_id(request_id: str | None) -> AbstractContextManager[None]:
    """What is logged meanwhile tells this id; None: it tells no other than before."""
    if request_id is None:
        return nullcontext()
    return structlog.contextvars.bound_contextvars(request_id=request_id)
