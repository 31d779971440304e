"""The demonstration: two sites, one dies, nothing is lost, and it comes back cheaply."""

import asyncio
import time
from pathlib import Path

from bilocate.cli.client import Group
from bilocate.cli.output import size_text
from bilocate.cli.waiting import judge_failed_over, judge_in_step, judge_reversed
from bilocate.demo import tree
from bilocate.demo.nbd_client import NbdClient
from bilocate.demo.records import REGION_BYTES, Stream, Writers, encode, find
from bilocate.demo.report import Report
from bilocate.demo.world import SIZE_GIB, Twin, World
from bilocate.domain.geometry import CHUNK_BYTES, GIB

STREAMS = 8
RECORDS_START = 256 * 1024**2  # the packed files lie before it
PROBE_OFFSET = SIZE_GIB * GIB - 1024**2  # a block of its own for the first write after the failover
PROBE_STREAM = 1000
WRITE_SECONDS = 3.0
HASH_BYTES = 64  # more than a chunk's hash and its place take on the link


class Story:
    """The chapters, in order; each leaves what the next one needs."""

    def __init__(self, report: Report, world: World, scratch: Path) -> None:
        self.report, self.world, self.scratch = report, world, scratch
        self.twins: list[Twin] = []
        self.group: Group
        self.packed: tree.Packed
        self.writers = Writers(
            [Stream(number, RECORDS_START + number * REGION_BYTES) for number in range(STREAMS)]
        )

    async def tell(self) -> None:
        """The whole story; ends at the first promise that is not kept."""
        await self.two_sites()
        await self.real_files()
        await self.group_in_step()
        volumes = await self.hosts_write()
        await self.site_dies(volumes)
        await self.failover()
        await self.site_returns()
        await self.reverse()

    async def two_sites(self) -> None:
        """Processes and volumes."""
        self.report.chapter("Two sites and a controller on this machine")
        with self.report.step("controller, az1 and az2 are up and linked"):
            await self.world.start()
        with self.report.step(f"volumes data and log, {SIZE_GIB} GiB each, at both sites"):
            self.twins = [await self.world.make_twin(name) for name in ("data", "log")]

    async def real_files(self) -> None:
        """Content from before replication."""
        self.report.chapter("Real files go into a volume at az1")
        self.packed = await self.world.call(tree.pack)
        volumes = await self.world.connect(self.twins, "az1")
        count, size = len(self.packed.digests), size_text(self.packed.size_bytes)
        with self.report.step(f"{count} files, {size}, packed and written over NBD"):
            await tree.write(self.packed, volumes[0])
        await self.world.disconnect(self.twins, "az1")

    async def group_in_step(self) -> None:
        """Pairs, group, first copy."""
        self.report.chapter("Both volumes become one group that fails over together")
        with self.report.step("two pairs and the group `shop`, az1 is primary"):
            self.group = await self.world.make_group("shop", self.twins, "az1")
        seconds = await self.world.act(self.group, "sync", judge_in_step)
        self.report.tell(
            f"`group sync`: in step after {seconds:.2f} s {self._moved(await self._resync('az1'))}"
        )
        await self._check_equal("after the first copy")

    async def hosts_write(self) -> list[NbdClient]:
        """Dependent writes over both volumes."""
        self.report.chapter("Hosts write, each record after the one before it")
        volumes = await self.world.connect(self.twins, "az1")
        await self._write_for(volumes, WRITE_SECONDS)
        return volumes

    async def site_dies(self, volumes: list[NbdClient]) -> None:
        """SIGKILL in the middle of the writing."""
        self.report.chapter("az1 dies without warning, while hosts write")
        before = self.writers.acknowledged
        self.writers.start(volumes)
        await asyncio.sleep(1)
        await self.world.kill("az1")
        await self.writers.ended()
        total = self.writers.acknowledged
        self.report.tell(
            f"SIGKILL after {total - before} more records; {total} are acknowledged, noted outside"
        )

    async def failover(self) -> None:
        """One call, and what it must not lose."""
        self.report.chapter("One call fails the group over")
        began = time.monotonic()
        seconds = await self.world.act(self.group, "failover", judge_failed_over)
        volumes = await self.world.connect(self.twins, "az2")
        await volumes[0].write(PROBE_OFFSET, encode(PROBE_STREAM, 0))
        until_write = time.monotonic() - began
        self.report.tell(
            f"`group failover`: done in {seconds:.2f} s; first acknowledged write at az2 "
            f"[bold]{until_write:.2f} s[/] after the call"
        )
        await self._check_records(volumes, "at az2")
        await self._check_files(volumes[0], "at az2")
        refusal = await self.world.refusal(self.group, "reprotect")
        self.report.check(refusal is not None, "reprotect is refused while az1 is dead")
        self.report.tell(f"[dim]{refusal}[/]")
        self.report.tell("hosts go on at az2:")
        await self._write_for(volumes, 2.0)
        self.writers.start(volumes)

    async def site_returns(self) -> None:
        """Reprotect, while hosts go on writing."""
        self.report.chapter("az1 returns and is reprotected, while hosts go on writing")
        with self.report.step("az1 runs again"):
            await self.world.start_site("az1")
        before = self.writers.acknowledged
        seconds = await self.world.act(self.group, "reprotect", judge_in_step)
        during = self.writers.acknowledged - before
        resync = await self._resync("az2")
        self.report.tell(
            f"`group reprotect`: in step after {seconds:.2f} s; {during} records were acknowledged meanwhile"
        )
        full = len(self.twins) * SIZE_GIB * GIB
        differing, crossed = resync["differing_bytes"], resync["link_bytes"]
        self.report.tell(
            f"bytes that differed [bold]{size_text(differing)}[/] · bytes that crossed the link "
            f"[bold]{size_text(crossed)}[/] · a full copy would have cost [bold]{size_text(full)}[/]"
        )
        allowed = 1.05 * differing + resync["total_bytes"] / CHUNK_BYTES * HASH_BYTES + CHUNK_BYTES
        self.report.check(crossed <= allowed, "no more crossed the link than what differed, and the hashes")
        await self.writers.stop()
        await self._check_equal("after the reprotect")

    async def reverse(self) -> None:
        """Back to az1 in an orderly way."""
        self.report.chapter("Back to az1, in order")
        await self.world.disconnect(self.twins, "az2")
        seconds = await self.world.act(self.group, "reverse", judge_reversed("az2"))
        self.report.tell(f"`group reverse`: az1 is primary again after {seconds:.2f} s, nothing was copied")
        volumes = await self.world.connect(self.twins, "az1")
        await self._check_records(volumes, "at az1")
        await self._check_files(volumes[0], "at az1")
        self.report.tell("hosts write at az1 again:")
        await self._write_for(volumes, 1.0)
        await self._check_equal("at the end")
        await self.world.disconnect(self.twins, "az1")

    async def _write_for(self, volumes: list[NbdClient], seconds: float) -> None:
        before = self.writers.acknowledged
        self.writers.start(volumes)
        await asyncio.sleep(seconds)
        await self.writers.stop()
        written = self.writers.acknowledged - before
        self.report.tell(
            f"{written} records acknowledged in {seconds:.0f} s, by {STREAMS} hosts that wait for each one"
        )
        self.report.check(written > 0, "hosts are answered")

    async def _check_records(self, volumes: list[NbdClient], where: str) -> None:
        found = [await find(stream, volumes) for stream in self.writers.streams]
        acknowledged = sum(each.acknowledged for each in found)
        missing = sum(each.missing for each in found)
        self.report.check(
            missing == 0,
            f"all {acknowledged} acknowledged records are found {where}",
            f"{missing} are missing",
        )
        broken = [each for each in found if not each.in_order]
        self.report.check(
            not broken, f"their order over both volumes is right {where}", f"{len(broken)} streams have gaps"
        )

    async def _check_files(self, volume: NbdClient, where: str) -> None:
        into = self.scratch / f"unpacked-{where.split()[-1]}"
        await tree.unpack(volume, self.packed.size_bytes, into)
        wrong = await self.world.call(tree.differences, self.packed, into)
        self.report.check(
            not wrong,
            f"all {len(self.packed.digests)} files unpacked {where} are what they were",
            ", ".join(wrong[:5]),
        )

    async def _check_equal(self, when: str) -> None:
        for twin in self.twins:
            seen = await self.world.compare(twin)
            self.report.check(
                seen.first_difference is None,
                f"volume {twin.name}: both sites are equal byte by byte {when} "
                f"({size_text(seen.compared_bytes)} of data)",
                f"they differ first at byte {seen.first_difference}",
            )

    async def _resync(self, site: str) -> dict[str, int]:
        return await self.world.resync_of(self.group, site)

    @staticmethod
    def _moved(resync: dict[str, int]) -> str:
        if not resync:
            return ""
        return f"({size_text(resync['link_bytes'])} crossed the link)"
