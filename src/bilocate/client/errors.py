"""What can go wrong with a call: one class per condition, with the API's own words in the message."""

from typing import Any


class ClientError(Exception):
    """Anything that this client raises."""


class Unreachable(ClientError):
    """Nobody answered. `sent`: the call may have been carried out all the same."""

    def __init__(self, address: str, reason: str, sent: bool) -> None:
        super().__init__(f"no answer from {address} ({reason}).")
        self.sent = sent


class NotTheApi(ClientError):
    """What answered does not speak this API: the address is wrong."""


class NoSuchName(ClientError):
    """Nothing has this id or name; `kind` says of what."""

    def __init__(self, kind: str, id_or_name: str) -> None:
        super().__init__(f"There is no {kind} with the id or name {id_or_name!r}")
        self.kind = kind


class AmbiguousName(ClientError):
    """Several things have this name; `ids` are theirs."""

    def __init__(self, kind: str, name: str, ids: list[str]) -> None:
        super().__init__(
            f"{len(ids)} {kind}s are named {name!r}: give the id of one of them: {', '.join(ids)}."
        )
        self.ids = ids


class WorkFailed(ClientError):
    """What was waited for ended otherwise; `seen` is how it was seen last."""

    def __init__(self, message: str, seen: Any) -> None:
        super().__init__(message)
        self.seen = seen


class NotInTime(ClientError):
    """What was waited for goes on still; `seen` is how it was seen last."""

    def __init__(self, message: str, seen: Any) -> None:
        super().__init__(message)
        self.seen = seen


class Refused(ClientError):
    """The API refused a call. `status` is HTTP's, `evs_code` the API's own (empty where it gave none)."""

    def __init__(
        self, message: str, status: int, evs_code: str = "", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.evs_code = evs_code
        self.retry_after_seconds = retry_after_seconds


class Malformed(Refused):
    """400: the call itself is wrong."""


class Unauthorized(Refused):
    """401: wrong user or password, or a token that is not valid."""


class Forbidden(Refused):
    """403: another project's, or no role that allows it."""


class NotFound(Refused):
    """404: there is no such thing."""


class WrongMethod(Refused):
    """405."""


class NotAcceptable(Refused):
    """406: a version that is not offered."""


class ProxyRequired(Refused):
    """407: the service is reached only through its authenticating proxy."""


class TooSlow(Refused):
    """408: the body did not arrive in time."""


class Conflict(Refused):
    """409: a state is in the way; the message names it and the way out."""


class OverLimit(Refused):
    """413: a quota is used up, or the body is too large."""


class TooMany(Refused):
    """429: too many requests, or wrong passwords; `retry_after_seconds` says when to come back."""


class ServerFault(Refused):
    """500: a defect of the controller."""


class NotSupported(Refused):
    """501: not in this release, or not with this storage."""


class BadGateway(Refused):
    """502: a site's agent answered nonsense."""


class Unavailable(Refused):
    """503: the controller, its database or a site is away; `retry_after_seconds` says when to come back."""


class GatewayTimeout(Refused):
    """504: a site's agent did not answer in time; the call may have been carried out."""


BY_STATUS: dict[int, type[Refused]] = {
    400: Malformed,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: WrongMethod,
    406: NotAcceptable,
    407: ProxyRequired,
    408: TooSlow,
    409: Conflict,
    413: OverLimit,
    429: TooMany,
    500: ServerFault,
    501: NotSupported,
    502: BadGateway,
    503: Unavailable,
    504: GatewayTimeout,
}
