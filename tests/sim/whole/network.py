"""What is between controllers and sites: calls that are late, lost, repeated, or answered in vain."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
from tests.sim.whole.control import handle
from tests.sim.world.scheduler import Kind

if TYPE_CHECKING:
    from tests.sim.whole.world import WholeWorld

REFUSED_SECONDS = 0.005
Json = dict[str, Any]


class Network:
    """Who reaches whom. A controller and a site may be cut off from each other."""

    def __init__(self, world: "WholeWorld") -> None:
        self.world = world
        self.cut: set[tuple[str, str]] = set()  # (controller, site)

    def reaches(self, controller: str, site: str) -> bool:
        """Whether anything gets through between them."""
        return (controller, site) not in self.cut and self.world.agents[site].controller_in_reach

    def call(
        self, controller: str, site: str, request: httpx.Request, body: Json, answer: "asyncio.Future[Any]"
    ) -> None:
        """Carry a call there and back. `answer` gets (status, JSON), None when it is refused, or never anything."""
        world = self.world
        scheduler, delays, agent = world.scheduler, world.delays, world.agents[site]
        name = f"{request.method} {request.url.path.removeprefix('/v1/')}"

        def tell(said: tuple[int, Json] | None) -> None:
            if not answer.done():
                answer.set_result(said)

        def back(said: tuple[int, Json]) -> None:
            if not delays.call_lost() and self.reaches(controller, site):
                what = f"{name} answered {said[0]} {said[1].get('error', '')}".rstrip()
                scheduler.after(delays.call(), Kind.CALL, controller, what, lambda: tell(said))

        def arrive() -> None:
            if agent.up and self.reaches(controller, site):
                query = dict(request.url.params)
                handle(agent, request.method, request.url.path, query, body, back)
            elif not agent.up:
                scheduler.after(delays.call(), Kind.CALL, controller, f"{name} refused", lambda: tell(None))

        if not delays.call_lost() and self.reaches(controller, site):
            scheduler.after(delays.call(), Kind.CALL, site, name, arrive)
            if delays.call_twice():
                scheduler.after(delays.again(), Kind.CALL, site, name, arrive)


class Transport(httpx.AsyncBaseTransport):
    """One controller's way to one site."""

    def __init__(self, network: Network, controller: str, site: str) -> None:
        self._network, self._controller, self._site = network, controller, site

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Waits as long as the caller has said, in the world's time."""
        content = await request.aread()
        answer = asyncio.get_running_loop().create_future()
        self._network.call(self._controller, self._site, request, json.loads(content or b"{}"), answer)
        try:
            async with asyncio.timeout(request.extensions["timeout"]["read"]):
                said = await answer
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer", request=request) from error
        if said is None:
            raise httpx.ConnectError("connection refused", request=request)
        return httpx.Response(said[0], json=said[1])
