"""What a call is before anything is sent: steps that say what to ask, and are told what was answered.

A call is a generator. It does no I/O: Client and AsyncClient carry its steps out, each in its own way.
"""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from bilocate.client.errors import BY_STATUS, NotTheApi, Refused

Json = dict[str, Any]
T = TypeVar("T")


class Place(Enum):
    """Below which address a path is."""

    V2 = "v2"
    V3 = "v3"
    SERVICE = "service"  # the controller itself, without a project or a token


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a call, without the address and the token."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str] | None = None
    place: Place = Place.V2
    microversion: str = ""


@dataclass(frozen=True, slots=True)
class Wire:
    """One request as it is sent."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)  # a token is among them
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    params: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long before the next step."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Lost:
    """There was no answer. `sent`: the request may have been received all the same."""

    reason: str
    sent: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    asked: str  # the method and the path, for messages

    def object(self) -> Json:
        """The JSON object of a success; an empty one where there is no body.

        :raises Refused: of the status's own class.
        :raises NotTheApi: what answered is no API of this kind.
        """
        if not 200 <= self.status < 300:
            raise self._refusal()
        if not self.content:
            return {}
        body = self.json()
        if body is None:
            raise NotTheApi(f"{self.asked} did not answer with a JSON object: is this the right address?")
        return body

    def json(self) -> Json | None:
        """The JSON object, whatever the status; None where there is none."""
        try:
            body = json.loads(self.content)
        except ValueError:
            return None
        return body if isinstance(body, dict) else None

    def _refusal(self) -> Refused:
        message, evs_code = f"{self.asked} was answered {self.status}.", ""
        for part in (self.json() or {}).values():
            if isinstance(part, dict) and isinstance(part.get("message"), str):
                message, evs_code = part["message"], str(part.get("error_code") or "")
                break
        after = self.headers.get("retry-after", "")
        kind = BY_STATUS.get(self.status, Refused)
        return kind(message, self.status, evs_code, float(after) if after.isdecimal() else None)


@dataclass(frozen=True, slots=True)
class Blocking:
    """A request that somebody else's blocking code sends. AsyncClient has it done in a thread."""

    send: Callable[[], Answer | Lost]


# The steps of a call, and the steps of those steps once address and token are added.
Steps = Generator[Request | Pause, Answer | None, T]
WireSteps = Generator[Wire | Blocking | Pause, Answer | Lost | None, T]


def ask(request: Request) -> Steps[Json]:
    """One request whose answer is a JSON object.

    :raises Refused:
    """
    answer = yield request
    assert isinstance(answer, Answer)
    return answer.object()
