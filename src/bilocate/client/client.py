"""The two clients. Every call is written once, as steps; Client carries them out, AsyncClient awaits them."""

import asyncio
import functools
import ssl
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import httpx

from bilocate.client import listing, replication, waiting
from bilocate.client import volumes as volume_calls
from bilocate.client.access import Access, Login, access_of, carried
from bilocate.client.exchange import Answer, Blocking, Json, Lost, Pause, Place, Request, Steps, Wire
from bilocate.client.resources import Group, Pair, Volume

REQUEST_TIMEOUT_SECONDS = 30.0  # longer than any call takes that is not stuck: verbs answer at once

P = ParamSpec("P")
T = TypeVar("T")


class Call(Generic[P, T]):
    """A method of both clients: of Client it returns T, of AsyncClient an awaitable T."""

    def __init__(self, steps: Callable[P, Steps[T]]) -> None:
        self._steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Steps[T]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        steps = self._steps
        if client is None:
            return steps

        @functools.wraps(steps)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.run(steps(*args, **kwargs))

        return call


class Calls:
    """What both clients can do. Ids are the API's; `find_…` takes names too."""

    create_volume = Call(volume_calls.create_volume)
    copy_volume = Call(volume_calls.copy_volume)
    volume = Call(volume_calls.volume)
    volumes = Call(volume_calls.volumes)
    update_volume = Call(volume_calls.update_volume)
    delete_volume = Call(volume_calls.delete_volume)
    extend_volume = Call(volume_calls.extend_volume)
    adopt_volume = Call(volume_calls.adopt_volume)
    give_volume_back = Call(volume_calls.give_volume_back)
    connect_volume = Call(volume_calls.connect_volume)
    disconnect_volume = Call(volume_calls.disconnect_volume)

    create_attachment = Call(volume_calls.create_attachment)
    attachment = Call(volume_calls.attachment)
    attachments = Call(volume_calls.attachments)
    update_attachment = Call(volume_calls.update_attachment)
    complete_attachment = Call(volume_calls.complete_attachment)
    delete_attachment = Call(volume_calls.delete_attachment)

    quotas = Call(volume_calls.quotas)
    set_quotas = Call(volume_calls.set_quotas)
    reset_quotas = Call(volume_calls.reset_quotas)

    create_pair = Call(replication.create_pair)
    pair = Call(replication.pair)
    pairs = Call(replication.pairs)
    delete_pair = Call(replication.delete_pair)

    create_group = Call(replication.create_group)
    group = Call(replication.group)
    groups = Call(replication.groups)
    update_group = Call(replication.update_group)
    delete_group = Call(replication.delete_group)
    act = Call(replication.act)
    extend_group = Call(replication.extend_group)

    wait_for_volume = Call(waiting.wait_for_volume)
    wait_for_pair = Call(waiting.wait_for_pair)
    wait_for_group = Call(waiting.wait_for_group)

    @Call
    @staticmethod
    def find_volume(id_or_name: str) -> Steps[Volume]:
        """The volume of this id or unambiguous name.

        :raises NoSuchName:
        :raises AmbiguousName:
        """
        return listing.find("volume", id_or_name, volume_calls.volume, volume_calls.volumes)

    @Call
    @staticmethod
    def find_pair(id_or_name: str) -> Steps[Pair]:
        """The pair of this id or unambiguous name.

        :raises NoSuchName:
        :raises AmbiguousName:
        """
        return listing.find("pair", id_or_name, replication.pair, replication.pairs)

    @Call
    @staticmethod
    def find_group(id_or_name: str) -> Steps[Group]:
        """The group of this id or unambiguous name.

        :raises NoSuchName:
        :raises AmbiguousName:
        """
        return listing.find("group", id_or_name, replication.group, replication.groups)

    @Call
    @staticmethod
    def wait_volume_gone(
        volume_id: str, timeout_seconds: float = waiting.DEFAULT_TIMEOUT_SECONDS
    ) -> Steps[None]:
        """Until a volume that is being deleted is gone.

        :raises WorkFailed:
        :raises NotInTime:
        """
        return waiting.wait_gone(lambda: volume_calls.volume(volume_id), timeout_seconds)

    @Call
    @staticmethod
    def wait_pair_gone(pair_id: str, timeout_seconds: float = waiting.DEFAULT_TIMEOUT_SECONDS) -> Steps[None]:
        """Until a pair that is being deleted is gone.

        :raises WorkFailed:
        :raises NotInTime:
        """
        return waiting.wait_gone(lambda: replication.pair(pair_id), timeout_seconds)

    @Call
    @staticmethod
    def wait_group_gone(
        group_id: str, timeout_seconds: float = waiting.DEFAULT_TIMEOUT_SECONDS
    ) -> Steps[None]:
        """Until a group that is being deleted is gone.

        :raises WorkFailed:
        :raises NotInTime:
        """
        return waiting.wait_gone(lambda: replication.group(group_id), timeout_seconds)

    @Call
    @staticmethod
    def ready() -> Steps[tuple[bool, Json]]:
        """Whether the controller has its database and its agents, and what it says about them."""
        answer = yield Request("GET", "readyz", place=Place.SERVICE)
        assert isinstance(answer, Answer)
        return answer.status == 200, answer.json() or {}


class Client(Calls):
    """A blocking client of one project's resources. Not for several threads at once.

    `access` is a Login, or an Access such as `SessionAccess` makes of a keystoneauth session.
    `verify`: which certificates are trusted, as httpx takes it.
    """

    def __init__(
        self,
        access: Login | Access,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self._access = access_of(access)
        self._http = httpx.Client(timeout=timeout_seconds, trust_env=False, verify=verify)

    def run(self, steps: Steps[T]) -> T:
        """Carry the steps of a call out.

        :raises ClientError: each condition has a class of its own.
        """
        going = carried(self._access, steps)
        try:
            step = next(going)
            while True:
                step = going.send(self._do(step))
        except StopIteration as end:
            result: T = end.value
            return result

    def _do(self, step: Wire | Blocking | Pause) -> Answer | Lost | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        if isinstance(step, Blocking):
            return step.send()
        try:
            response = self._http.request(
                step.method, step.url, headers=step.headers, json=step.body, params=step.params
            )
        except httpx.TransportError as error:
            return _lost(error)
        return _answer(response)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()


class AsyncClient(Calls):
    """The same calls, each to be awaited. For one event loop, and any number of its tasks at once.

    A keystoneauth session blocks: its requests are made in threads. `transport`, an httpx transport, takes the
    network's place.
    """

    def __init__(
        self,
        access: Login | Access,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._access = access_of(access)
        self._http = httpx.AsyncClient(
            timeout=timeout_seconds, trust_env=False, verify=verify, transport=transport
        )

    async def run(self, steps: Steps[T]) -> T:
        """Carry the steps of a call out.

        :raises ClientError: each condition has a class of its own.
        """
        going = carried(self._access, steps)
        try:
            step = next(going)
            while True:
                step = going.send(await self._do(step))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _do(self, step: Wire | Blocking | Pause) -> Answer | Lost | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        if isinstance(step, Blocking):
            return await asyncio.to_thread(step.send)
        try:
            response = await self._http.request(
                step.method, step.url, headers=step.headers, json=step.body, params=step.params
            )
        except httpx.TransportError as error:
            return _lost(error)
        return _answer(response)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()


def _lost(error: httpx.TransportError) -> Lost:
    return Lost(str(error) or type(error).__name__, sent=not isinstance(error, httpx.ConnectError))


def _answer(response: httpx.Response) -> Answer:
    asked = f"{response.request.method} {response.request.url.path}"
    return Answer(response.status_code, response.headers, response.content, asked)
