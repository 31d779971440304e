"""Our own client over a session of keystoneauth1, blocking and awaited. Runs in the clients' own environment."""

import asyncio
import os
import socket

from keystoneauth1 import session  # type: ignore[import-not-found, unused-ignore]
from keystoneauth1.identity import v3  # type: ignore[import-not-found, unused-ignore]

from bilocate.client import (
    AsyncClient,
    Client,
    NotFound,
    NotTheApi,
    SessionAccess,
    Unauthorized,
    Unreachable,
)


def session_of(
    password: str = os.environ["OS_PASSWORD"], auth_url: str = os.environ["OS_AUTH_URL"]
) -> object:
    """As any OpenStack program makes one."""
    words = {"user_domain_name": "Default", "project_domain_name": "Default"}
    names = {"username": os.environ["OS_USERNAME"], "project_name": os.environ["OS_PROJECT_NAME"]}
    return session.Session(v3.Password(auth_url=auth_url, password=password, **names, **words))


def blocking() -> None:
    """The calls that differ by address, version or body."""
    with Client(SessionAccess(session_of(), region="RegionOne")) as client:
        ready, told = client.ready()
        assert ready, told
        volume = client.create_volume("by a session", 1, "az1")
        client.wait_for_volume(volume.id, timeout_seconds=20)
        attachment = client.create_attachment(volume.id, "shop-1")
        assert attachment.connection_info is not None
        client.delete_attachment(attachment.id)
        assert client.find_volume("by a session").status == "available"
        client.delete_volume(volume.id)
        client.wait_volume_gone(volume.id, timeout_seconds=20)
        assert client.groups(name="nothing") == []
        told_code = ""
        try:
            client.pair(volume.id)
        except NotFound as error:
            told_code = error.evs_code
        assert told_code == "EVS.5404", "a volume's id is no pair's"


async def awaited() -> None:
    """Several requests at once, over one session."""
    async with AsyncClient(SessionAccess(session_of())) as client:
        made = await asyncio.gather(*(client.create_volume(f"at once {n}", 1, "az1") for n in range(3)))
        await asyncio.gather(*(client.wait_for_volume(volume.id, timeout_seconds=20) for volume in made))
        await asyncio.gather(*(client.delete_volume(volume.id) for volume in made))
        await asyncio.gather(*(client.wait_volume_gone(volume.id, 20) for volume in made))


def refused() -> None:
    """What the session itself can't do ends in our own classes."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/identity/v3"
        cases: list[tuple[SessionAccess, type[Exception]]] = [
            (SessionAccess(session_of(password="guessed")), Unauthorized),
            (SessionAccess(session_of(), region="nowhere"), NotTheApi),
            (SessionAccess(session_of(auth_url=nobody)), Unreachable),
            (SessionAccess(session.Session()), NotTheApi),
        ]
        for access, expected in cases:
            try:
                Client(access).volumes()
            except expected:
                continue
            raise AssertionError(f"not told: {expected}")


if __name__ == "__main__":
    blocking()
    asyncio.run(awaited())
    refused()
