"""Calls over a keystoneauth1 session: its plugin logs in, its catalogue says where, its adapter settings hold."""

from functools import partial
from typing import Any

from bilocate.client.access import SERVICE_TYPE, head_of, service_of
from bilocate.client.errors import BY_STATUS, NotTheApi, Refused, Unreachable
from bilocate.client.exchange import Answer, Blocking, Lost, Place, Request, WireSteps


class SessionAccess:
    """For `Client` and `AsyncClient`. The session's own retries, certificates and proxies are used.

    `session`: a keystoneauth1.session.Session with an auth plugin of project scope. `region` and `interface` choose
    where its catalogue names several addresses.
    """

    def __init__(self, session: Any, region: str | None = None, interface: str = "public") -> None:
        self._session = session
        self._filter = {"service_type": SERVICE_TYPE, "region_name": region, "interface": interface}
        self._service = ""

    def exchange(self, request: Request) -> WireSteps[Answer]:
        """The steps that lead to a request's answer.

        :raises Unreachable: nobody answered.
        :raises Unauthorized: the session's plugin is given no token.
        :raises NotTheApi: the catalogue has no replication service.
        """
        answer = yield Blocking(partial(self._send, request))
        if isinstance(answer, Lost):
            raise Unreachable(self._service or "the identity service", answer.reason, answer.sent)
        assert isinstance(answer, Answer)
        return answer

    def _send(self, request: Request) -> Answer | Lost:
        """One request over the session, which logs in, and renews its token, by itself."""
        from keystoneauth1 import exceptions

        try:
            url = self._url(request)
            response = self._session.request(
                url,
                request.method,
                headers=head_of(request),
                json=request.body,
                params=request.params,
                authenticated=request.place is not Place.SERVICE,
                raise_exc=False,
            )
        except exceptions.ConnectionError as error:
            # It does not tell whether anybody was found. Before the address is known nothing was asked of him.
            return Lost(str(error), sent=bool(self._service))
        except exceptions.HttpError as error:  # of the identity service: the session's plugin was refused
            raise BY_STATUS.get(error.http_status, Refused)(error.message, error.http_status) from error
        except exceptions.ClientException as error:
            raise NotTheApi(f"the session can't be used: {error}") from error
        headers = {key.lower(): value for key, value in response.headers.items()}
        return Answer(response.status_code, headers, response.content, f"{request.method} {url}")

    def _url(self, request: Request) -> str:
        if not self._service:
            endpoint = self._session.get_endpoint(skip_discovery=True, **self._filter)
            if not endpoint:
                raise NotTheApi(
                    f"the catalogue has no {self._filter['interface']} address of a service of the type "
                    f"'{SERVICE_TYPE}': add Bilocate's to it, or ask for the region that has them"
                )
            self._service = service_of(str(endpoint))
        if request.place is Place.SERVICE:
            return f"{self._service}/{request.path}"
        return f"{self._service}/{request.place.value}/{self._session.get_project_id()}/{request.path}"
