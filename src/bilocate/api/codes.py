"""What an error answer is made of: its status, its name, its EVS code, and the numbers of failures."""

from collections.abc import Iterable, Mapping

from bilocate.domain.errors import BilocateError
from bilocate.domain.failures import Failure

# The object that wraps an error, by status.
NAMES: Mapping[int, str] = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    406: "notAcceptable",
    407: "proxyAuthenticationRequired",
    408: "requestTimeout",
    409: "conflictingRequest",
    413: "overLimit",
    429: "tooManyRequests",
    500: "computeFault",
    501: "notImplemented",
    502: "badGateway",
    503: "serviceUnavailable",
    504: "gatewayTimeout",
}

# The error_code of a status where nothing says it better. docs/api.md lists them all.
EVS_CODES: Mapping[int, str] = {
    400: "EVS.5400",
    401: "EVS.0002",
    403: "EVS.5403",
    404: "EVS.5404",
    405: "EVS.5405",
    406: "EVS.5406",
    407: "EVS.5407",
    408: "EVS.5408",
    409: "EVS.5409",
    413: "EVS.5413",
    429: "EVS.5429",
    500: "EVS.5500",
    501: "EVS.5501",
    502: "EVS.5502",
    503: "EVS.5503",
    504: "EVS.5504",
}

MESSAGE_CHARACTERS_MAX = 1000

WRONG_PROJECT = "EVS.0001"
BAD_TOKEN = "EVS.0002"  # noqa: S105 - a code, no password
NO_ROLE = "EVS.0003"
BAD_VOLUME_ID = "EVS.1002"
NOT_LARGER = "EVS.1015"  # a volume's new size
BAD_LIMIT = "EVS.1023"
BAD_MARKER = "EVS.1024"
BAD_SORT_KEY = "EVS.1039"
BAD_SORT_DIR = "EVS.1040"
BAD_BODY = "EVS.1052"  # the body is no JSON object, or lacks its outer key
BAD_ACTION = "EVS.1070"  # an action's body: no action, more than one, or one that nobody knows

# What a pair, a group or a message says of a failure.
FAILURE_CODES: Mapping[Failure, str] = {
    Failure.SIZES_DIFFER: "37100041",
    Failure.PEER_SITE_OUT_OF_REACH: "37100043",
    Failure.PRODUCTION_VOLUME_GONE: "37100048",
    Failure.DR_VOLUME_GONE: "37100050",
    Failure.PRODUCTION_VOLUME_PAIRED: "37100053",
    Failure.DR_VOLUME_PAIRED: "37100054",
    Failure.DR_VOLUME_ATTACHED: "37100058",
    Failure.PRIMARY_STORAGE_ABNORMAL: "37100177",
    Failure.SECONDARY_STORAGE_ABNORMAL: "37100178",
    Failure.PRODUCTION_GROUP_QUOTA: "37100017",
    Failure.DR_GROUP_QUOTA: "37100159",
    Failure.INTERNAL: "37000212",
    Failure.BUSY: "37000216",
}


class Problem(BilocateError):
    """A request that is answered with an error status."""

    def __init__(
        self, status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        if len(message) > MESSAGE_CHARACTERS_MAX:
            # What a client sent may be in it, and is no reason to fill an answer and a log.
            message = f"{message[:MESSAGE_CHARACTERS_MAX]}…"
        self.message = message
        self.code = code or EVS_CODES[status]
        self.headers = dict(headers or {})
        super().__init__(message)


def malformed(message: str, code: str | None = None) -> Problem:
    """The request is wrong in itself: 400."""
    return Problem(400, message, code)


def not_yet(what: str) -> Problem:
    """Asked for something that this release does not have: 501."""
    return Problem(501, f"{what} is not there in this release: docs/api.md lists what is.")


def method_not_allowed(method: str, allowed: Iterable[str]) -> Problem:
    """405 with what is allowed instead."""
    allow = ", ".join(sorted(allowed))
    return Problem(405, f"{method[:16]} is not possible here: {allow}", headers={"Allow": allow})
