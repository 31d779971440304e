"""Reading a request's body: bounded in bytes and in time, and a JSON object or refused."""

import asyncio
import json
import math
from typing import Any

from starlette.requests import Request

from bilocate.api.codes import BAD_BODY, Problem, malformed
from bilocate.config import ApiLimits


async def read_object(request: Request, limits: ApiLimits, bytes_max: int | None = None) -> dict[str, Any]:
    """The body as a JSON object. `bytes_max`: where less than the usual bound is enough.

    :raises Problem: 413 too large, 408 too slow, 400 not a JSON object.
    """
    most = limits.body_bytes_max if bytes_max is None else min(bytes_max, limits.body_bytes_max)
    return parse_object(await _read(request, limits.body_seconds, most))


def parse_object(raw: bytes) -> dict[str, Any]:
    """Strict JSON: no duplicate keys (which of two actions would be meant?), no NaN or infinity, UTF-8 only.

    :raises Problem: 400.
    """
    try:
        body = json.loads(
            raw.decode(),
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constants,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise malformed(f"the body is not JSON: {error}", BAD_BODY) from error
    if not isinstance(body, dict):
        raise malformed("the body must be a JSON object", BAD_BODY)
    return body


async def _read(request: Request, seconds: float, bytes_max: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise _too_large(bytes_max)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > bytes_max:
                    raise _too_large(bytes_max)
                parts.append(part)
    except TimeoutError:
        message = f"the body did not arrive within {seconds:g} s: send the request again"
        raise Problem(408, message, headers={"Connection": "close"}) from None
    return b"".join(parts)


def _too_large(bytes_max: int) -> Problem:
    return Problem(413, f"the body is larger than {bytes_max} bytes", headers={"Connection": "close"})


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice in one object")
    return made


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):  # no database and no answer could carry it
        raise ValueError(f"{text} is too large")
    return value
