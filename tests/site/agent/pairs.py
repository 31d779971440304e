"""Two sites with one session between them."""

from tests.site.agent.world import MIB, Controller, Site, session_body

from bilocate.demo.nbd_client import NbdClient


async def put_both(
    az1: Site, az2: Site, primary: str, epoch: int, volumes: int = 1, size_bytes: int = 8 * MIB
) -> None:
    sites = {az1: tuple(f"p{n}" for n in range(volumes)), az2: tuple(f"s{n}" for n in range(volumes))}
    for site, peer in ((az2, az1), (az1, az2)):
        role = "primary" if site.config.site == primary else "secondary"
        if site.agent is not None:
            body = session_body(peer, role, sites[site], epoch)
            for member in body["members"]:
                member["size_bytes"] = size_bytes
            await site.put_session("ses", body)


async def pair_up(az1: Site, az2: Site, controller: Controller, volumes: int = 1) -> list[NbdClient]:
    """Volumes p0... at az1 and s0... at az2 in step, and a host at each of az1's."""
    for number in range(volumes):
        await az1.put_volume(f"p{number}", (f"at-p{number}",))
        await az2.put_volume(f"s{number}", (f"at-s{number}",))
    controller.make_row("ses")
    await put_both(az1, az2, "az1", 1, volumes)
    await az1.until_session("ses", lambda told: told["in_step"])
    return [await az1.connect(f"at-p{number}") for number in range(volumes)]
