"""From a request to what is sent: the address, a token, and what to do when either does not hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from bilocate.client.errors import NotTheApi, Unreachable
from bilocate.client.exchange import Answer, Json, Lost, Pause, Place, Request, Steps, Wire, WireSteps

SERVICE_TYPE = "evs"  # of the replication calls, in the catalogue
# A controller that starts again after a kill needs about a second, which is worth that wait.
ATTEMPTS = 4
RETRY_SECONDS = 0.5
READS = frozenset({"GET", "HEAD"})

T = TypeVar("T")


class Access(Protocol):
    """How requests reach the service, and as whom."""

    def exchange(self, request: Request) -> WireSteps[Answer]:
        """The steps that lead to a request's answer, be it a refusal.

        :raises Unreachable: nobody answered.
        """
        ...


@dataclass(frozen=True)
class Login:
    """Who asks. Either a user with a password, or a token from elsewhere; secrets are in no representation.

    `auth_url` is the identity service's, with its version (/v3) or without. Its catalogue says where Bilocate is:
    `region` and `interface` choose where it names several addresses. A domain's id counts more than its name.
    """

    auth_url: str
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    project_name: str = ""
    project_id: str = ""
    user_domain: str = "Default"
    project_domain: str = "Default"
    user_domain_id: str = ""
    project_domain_id: str = ""
    region: str = ""
    interface: str = "public"

    @property
    def tokens_url(self) -> str:
        """Where tokens are given."""
        root = self.auth_url.rstrip("/")
        return f"{root}/auth/tokens" if root.endswith("/v3") else f"{root}/v3/auth/tokens"

    def body(self) -> Json:
        """The request for a token of the project."""
        project: Json = {"id": self.project_id}
        if not self.project_id:
            project = {
                "name": self.project_name,
                "domain": _domain(self.project_domain_id, self.project_domain),
            }
        return {"auth": {"identity": self._identity(), "scope": {"project": project}}}

    def _identity(self) -> Json:
        if self.token:
            return {"methods": ["token"], "token": {"id": self.token}}
        domain = _domain(self.user_domain_id, self.user_domain)
        user = {"name": self.username, "password": self.password, "domain": domain}
        return {"methods": ["password"], "password": {"user": user}}


def _domain(domain_id: str, name: str) -> Json:
    return {"id": domain_id} if domain_id else {"name": name}


def access_of(given: Login | Access) -> Access:
    """What a client was given, as an Access."""
    return LoginAccess(given) if isinstance(given, Login) else given


class LoginAccess:
    """Takes a token at the first request, and a new one when it has run out."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._token = ""
        self._project_id = login.project_id
        self._service = ""  # known once there is a token, for it comes with the catalogue

    def exchange(self, request: Request) -> WireSteps[Answer]:
        """The steps that lead to a request's answer.

        :raises Unreachable: nobody answered.
        :raises Unauthorized: no token is given for this login.
        :raises NotTheApi: the catalogue has no replication service.
        """
        if not self._token:
            yield from self._log_in()
        answer = yield from self._sent(request)
        if answer.status == 401 and request.place is not Place.SERVICE:
            # The token may have run out, or the controller's store was made anew: once more with a fresh one.
            yield from self._log_in()
            answer = yield from self._sent(request)
        return answer

    def _sent(self, request: Request) -> WireSteps[Answer]:
        headers = head_of(request)
        if request.place is Place.SERVICE:
            url = f"{self._service}/{request.path}"
        else:
            url = f"{self._service}/{request.place.value}/{self._project_id}/{request.path}"
            headers["X-Auth-Token"] = self._token
        wire = Wire(request.method, url, headers, request.body, request.params)
        # Health is what it is now. Nothing else is asked of it than whether anyone is there.
        attempts = 1 if request.place is Place.SERVICE else ATTEMPTS
        return (yield from _tried(wire, self._service, request.method in READS, attempts))

    def _log_in(self) -> WireSteps[None]:
        login = self._login
        wire = Wire("POST", login.tokens_url, {"Accept": "application/json"}, login.body())
        answer = yield from _tried(wire, login.auth_url, True, ATTEMPTS)  # a token more does no harm
        told = answer.object().get("token") or {}
        token = answer.headers.get("x-subject-token", "")
        if not token:
            raise NotTheApi(
                f"{login.auth_url} answered without a token: is it an identity service's address?"
            )
        self._service = _service_in(told.get("catalog") or [], login)
        self._project_id = self._project_id or str(told["project"]["id"])
        self._token = token


def _tried(wire: Wire, address: str, repeatable: bool, attempts: int) -> WireSteps[Answer]:
    """What is repeatable is asked again for a while; a write only where nobody was found, so that nobody can have it.

    :raises Unreachable: nobody answered.
    """
    for attempt in range(1, attempts + 1):
        answer = yield wire
        if isinstance(answer, Answer):
            return answer
        assert isinstance(answer, Lost)
        if attempt == attempts or (answer.sent and not repeatable):
            raise Unreachable(address, answer.reason, answer.sent)
        yield Pause(RETRY_SECONDS)
    raise AssertionError("unreachable: the last attempt returns or raises")


def head_of(request: Request) -> dict[str, str]:
    """The headers that a request itself wants."""
    headers = {"Accept": "application/json"}
    if request.microversion:
        headers["OpenStack-API-Version"] = f"volume {request.microversion}"
    return headers


def carried(access: Access, steps: Steps[T]) -> WireSteps[T]:
    """A call's steps as what is sent."""
    try:
        step = next(steps)
        while True:
            if isinstance(step, Pause):
                yield step
                step = steps.send(None)
            else:
                step = steps.send((yield from access.exchange(step)))
    except StopIteration as end:
        result: T = end.value
        return result


def service_of(endpoint: str) -> str:
    """The controller's own address, of one of its addresses in a catalogue."""
    return endpoint.partition("/v2/")[0].rstrip("/")


def _service_in(catalog: list[Mapping[str, Any]], login: Login) -> str:
    """The controller's address.

    :raises NotTheApi: no replication service is in the catalogue, in the region that is wanted.
    """
    for service in catalog:
        for endpoint in service["endpoints"] if service["type"] == SERVICE_TYPE else ():
            region = endpoint.get("region_id") or endpoint.get("region")
            if endpoint["interface"] == login.interface and login.region in ("", region):
                return service_of(str(endpoint["url"]))
    raise NotTheApi(
        f"the catalogue of {login.auth_url} has no {login.interface} address of a service of the type "
        f"'{SERVICE_TYPE}'"
        + (f" in the region {login.region}" if login.region else "")
        + ": add Bilocate's to it, or ask for the region that has them"
    )
