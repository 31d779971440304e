"""An agent in memory: the control endpoint's agreement, without disks, links and time.

It keeps to the rules that operations rely on: older epochs, revisions and attempts are refused, a session's half serves
only after it has attached, a dirty or inconsistent secondary is not promoted, a hold keeps its link down.
A volume's content is a number that every write raises; equal numbers are equal data.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable

import httpx
from tests.operations.fake_parts import FakeHalf, FakeVolume, Json, Refused

from bilocate.domain.arbiter import Ask, Call, Refusal, Row, RowState
from bilocate.domain.generations import of_one_moment
from bilocate.store import arbiter
from bilocate.store.database import Database, DatabaseUnavailable

CHUNK = 65536


class FakeWorld:
    """Two sites, the wire between them, and the arbiter in the controllers' database."""

    def __init__(self, database: Database, sites: tuple[str, ...] = ("az1", "az2")) -> None:
        self.database = database
        self.agents = {site: FakeAgent(self, site) for site in sites}
        self.next_generation = 0

    def transports(self) -> dict[str, httpx.AsyncBaseTransport]:
        """By site, for `AgentClient`."""
        return {site: httpx.MockTransport(agent.handle) for site, agent in self.agents.items()}

    async def converge(self) -> None:
        """What agents do by themselves, until nothing is left to do."""
        for agent in self.agents.values():
            for half in list(agent.halves.values()):
                if agent.up and not agent.hangs and half.primary:
                    await agent.drive(half)

    async def write(self, site: str, volume_id: str) -> bool:
        """A host's write; whether it was answered."""
        agent = self.agents[site]
        volume = agent.volumes[volume_id]
        if volume.session_id is None:
            volume.content += 1
            return True
        await self.converge()
        half = agent.halves[volume.session_id]
        if not (agent.up and not agent.hangs and half.serving and not half.quiesced):
            return False
        volume.content += 1
        if half.in_step:
            agent.partner_volume(half, volume_id).content = volume.content
        else:
            assert half.permit
            volume.dirty += CHUNK
        return True


class FakeAgent:
    """One site's agent. `up` is false while its process is dead; `deaf` makes it take calls without answering,
    and `hangs`, as when it is stopped, neither take nor answer them: the caller waits as long as it wants to."""

    def __init__(self, world: FakeWorld, site: str) -> None:
        self.world, self.site = world, site
        self.up, self.deaf, self.hangs = True, False, False
        self.hangs_seconds = 0.0  # at least, whatever the caller's patience is
        self.volumes: dict[str, FakeVolume] = {}
        self.halves: dict[str, FakeHalf] = {}
        self.calls: list[str] = []
        self.copies: dict[str, int] = {}  # that are being made, and what they will hold
        self.devices: dict[str, int] = {}  # what may be adopted: path -> bytes
        self.taken = 0  # calls that told it something and were not refused
        self.refuse: dict[str, str] = {}  # "METHOD last-word-of-path" -> code: refused on purpose
        self.on_refusal: Callable[[], Awaitable[None]] | None = None
        # The same -> what happens just before such a call is carried out.
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """One HTTP call."""
        if not self.up:
            raise httpx.ConnectError("connection refused", request=request)
        if self.hangs:
            await asyncio.sleep(max(self.hangs_seconds, request.extensions["timeout"]["read"]))
            raise httpx.ReadTimeout("stopped", request=request)
        path = request.url.path.split("/")[2:]
        self.calls.append(f"{request.method} {'/'.join(path)}")
        body = json.loads(request.content) if request.content else {}
        try:
            name = f"{request.method} {path[0] if len(path) < 3 else path[-1]}"
            if name in self.refuse:
                code = self.refuse[name]
                if self.on_refusal is not None:
                    await self.on_refusal()
                raise Refused(409, code)
            if name in self.before:
                await self.before[name]()
            found = await self._route(request, path, body)
        except Refused as refused:
            answer = {"error": refused.code, "message": f"{self.site} says {refused.code}"}
            return httpx.Response(refused.status, json=answer)
        self.taken += request.method != "GET"
        if self.deaf:
            raise httpx.ReadTimeout("too late", request=request)
        return httpx.Response(200, json=found)

    async def _route(self, request: httpx.Request, path: list[str], body: Json) -> Json:
        match (request.method, *path):
            case ("GET", "health"):
                return {"site": self.site, "instance": "i", "boot_id": "b", "version": "0"}
            case ("GET", "status"):
                return await self._status()
            case ("POST", "inspect"):
                return {"size_bytes": self._inspect(body["source"])}
            case ("PUT", "volumes", volume_id):
                return self._put_volume(volume_id, body)
            case ("PUT", "volumes", volume_id, "copy"):
                return self._copy_volume(volume_id, body)
            case ("GET", "volumes", volume_id, "copyable"):
                self._copyable(volume_id)
                return {}
            case ("DELETE", "volumes", volume_id):
                return self._delete_volume(volume_id)
            case ("PUT", "sessions", session_id):
                self._put_session(session_id, body)
                await self.world.converge()
                return self.actual(self._half(session_id))
            case ("GET", "sessions", session_id):
                await self.world.converge()
                return self.actual(self._half(session_id))
            case ("DELETE", "sessions", session_id):
                return self._delete_session(session_id, int(request.url.params["epoch"]))
            case ("POST", "sessions", session_id, action):
                return await self._act(
                    self._half(session_id), action, int(body["epoch"]), int(body["attempt"])
                )
        raise Refused(404, "no_such_path")

    def forget(self, session_id: str) -> None:
        """As after a lost ledger: of the session and its volumes nothing is known any more but their files."""
        del self.halves[session_id]
        for volume in self.volumes.values():
            if volume.session_id == session_id:
                volume.session_id, volume.told_session = None, None
                volume.max_epoch, volume.revision, volume.exports = 0, -1, []
                volume.blank, volume.consistent, volume.generation = True, False, ""

    async def _status(self) -> Json:
        await self.world.converge()
        return {
            "site": self.site,
            "instance": "i",
            "boot_id": "b",
            "sessions": {name: self.actual(half) for name, half in self.halves.items()},
            "volumes": {
                name: {
                    "size_bytes": volume.size_bytes,
                    "present": True,
                    "error": None,
                    "connections": 0,
                    "blank": volume.blank,
                    "exports_revision": volume.revision,
                }
                for name, volume in self.volumes.items()
            },
        }

    # --- volumes ---

    def _inspect(self, source: str) -> int:
        if source not in self.devices:
            raise Refused(409, "not_adoptable")
        if source in [volume.source for volume in self.volumes.values()]:
            raise Refused(409, "in_use")
        return self.devices[source]

    def _put_volume(self, volume_id: str, wanted: Json) -> Json:
        volume = self.volumes.get(volume_id)
        if volume is None:
            if not wanted["create"]:
                raise Refused(409, "volume_missing")
            volume = self.volumes[volume_id] = FakeVolume(wanted["size_bytes"], source=wanted["source"])
        if wanted["revision"] < volume.revision:
            raise Refused(409, "older_revision")
        volume.revision, volume.exports = wanted["revision"], wanted["exports"]
        volume.read_only_exports = wanted["read_only_exports"]
        volume.told_session = wanted["session_id"]
        if wanted["size_bytes"] > volume.size_bytes:
            if volume.session_id not in (None, wanted["session_id"]):
                raise Refused(409, "in_session")
            volume.room_bytes = wanted["size_bytes"]
            if volume.session_id is None:
                volume.size_bytes = wanted["size_bytes"]
        return {"size_bytes": volume.size_bytes}

    def _copyable(self, volume_id: str) -> FakeVolume:
        source = self.volumes.get(volume_id)
        if source is None:
            raise Refused(409, "unknown_volume")
        if not source.consistent or source.dirty:
            raise Refused(409, "not_consistent")
        return source

    def _copy_volume(self, volume_id: str, wanted: Json) -> Json:
        """Whoever asks is told that it is done at the second call of this life of the agent."""
        if volume_id in self.volumes:
            return {"done": True}
        source = self._copyable(wanted["source_volume_id"])
        if source.size_bytes > wanted["size_bytes"]:
            raise Refused(409, "source_larger")
        if volume_id not in self.copies:
            self.copies[volume_id] = source.content  # the moment
            return {"done": False}
        volume = self.volumes[volume_id] = FakeVolume(wanted["size_bytes"])
        volume.revision, volume.content = wanted["revision"], self.copies.pop(volume_id)
        return {"done": True}

    def _delete_volume(self, volume_id: str) -> Json:
        self.copies.pop(volume_id, None)
        volume = self.volumes.get(volume_id)
        if volume is not None and volume.session_id is not None:
            raise Refused(409, "in_session")
        self.volumes.pop(volume_id, None)
        return {}

    # --- sessions ---

    def _half(self, session_id: str) -> FakeHalf:
        if session_id not in self.halves:
            raise Refused(404, "unknown_session")
        return self.halves[session_id]

    def _put_session(self, session_id: str, wanted: Json) -> None:
        old = self.halves.get(session_id)
        names = [member["volume_id"] for member in wanted["members"]]
        if old is not None and wanted["epoch"] < old.epoch:
            raise Refused(409, "older_epoch")
        if old is not None and wanted["epoch"] == old.epoch:
            if wanted["revision"] < old.wanted["revision"]:
                raise Refused(409, "older_revision")
            self._grow(wanted)
            old.wanted = wanted
            return
        for name in names:
            if name not in self.volumes:
                raise Refused(409, "unknown_volume")
            if self.volumes[name].max_epoch > wanted["epoch"]:
                raise Refused(409, "older_epoch")
        if wanted["role"] == "primary" and old is not None and not old.primary:
            self._require_promotable(names, wanted)
        for name, volume in self.volumes.items():
            if name in names:
                assert volume.session_id is None or volume.session_id in self.halves
                volume.session_id, volume.max_epoch = session_id, wanted["epoch"]
            elif volume.session_id == session_id:
                raise AssertionError(f"{name} would be without a session: the order was wrong")
        self._grow(wanted)
        self.halves[session_id] = FakeHalf(session_id, wanted)
        for name in [n for n in self.halves if n != session_id and not self._volumes_of(n)]:
            self.halves[name].serving = False

    def _grow(self, wanted: Json) -> None:
        """GROWTH: there is room, and the secondary's volume is as large already."""
        for member in wanted["members"]:
            volume = self.volumes[member["volume_id"]]
            assert member["size_bytes"] >= volume.size_bytes, "a volume only grows"
            if member["size_bytes"] > volume.size_bytes:
                assert volume.room_bytes >= member["size_bytes"], "nobody has made room"
                if wanted["role"] == "primary":
                    other = self.world.agents[wanted["peer"]["site"]]
                    sizes = [
                        v.size_bytes for v in other.volumes.values() if v.session_id == volume.session_id
                    ]
                    assert member["size_bytes"] in sizes, "the secondary is to grow first"
                volume.size_bytes = member["size_bytes"]

    def _require_promotable(self, names: list[str], wanted: Json) -> None:
        for volume in (self.volumes[name] for name in names):
            if not volume.consistent or volume.blank or (volume.dirty and not wanted["allow_dirty"]):
                raise Refused(409, "cannot_promote")
        if not wanted["allow_dirty"] and not of_one_moment(self.volumes[name].generation for name in names):
            raise Refused(409, "cannot_promote")

    def _delete_session(self, session_id: str, epoch: int) -> Json:
        half = self.halves.get(session_id)
        if half is None:
            return {}
        if epoch < half.epoch:
            raise Refused(409, "older_epoch")
        del self.halves[session_id]
        for volume in self.volumes.values():
            if volume.session_id == session_id:
                volume.session_id = None
        return {}

    async def _act(self, half: FakeHalf, action: str, epoch: int, attempt: int) -> Json:
        if epoch != half.epoch:
            raise Refused(409, "older_epoch" if epoch < half.epoch else "newer_epoch")
        if action in ("precheck", "release") and half.primary:
            raise Refused(409, "not_secondary")
        if action in ("quiesce", "resume") and not half.primary:
            raise Refused(409, "not_primary")
        ends = action in ("release", "resume")
        if attempt < half.attempt or (attempt == half.attempt and half.attempt_over and not ends):
            if ends:
                return {}
            raise Refused(409, "older_attempt")
        half.attempt, half.attempt_over = attempt, ends
        match action:
            case "precheck":
                half.holds_hello = True
                volumes = self._volumes_of(half.session_id)
                return {
                    "epoch": half.epoch,
                    "consistent": all(volume.consistent for volume in volumes),
                    "dirty_bytes": sum(volume.dirty for volume in volumes),
                    "blank": any(volume.blank for volume in volumes),
                    "one_moment": of_one_moment(volume.generation for volume in volumes),
                    "role": "secondary",
                    "behind_seconds": 0.0,
                }
            case "release":
                half.holds_hello = False
            case "quiesce":
                await self.drive(half)
                if not half.in_step or half.row is None:
                    raise Refused(409, "not_in_step")
                half.quiesced = True
                return {"version": half.row.version}
            case "resume":
                half.row = await self._ask(half, Call.ATTACH)
                half.quiesced = False
        return {}

    # --- what a primary does by itself ---

    async def drive(self, half: FakeHalf) -> None:
        """Towards what is wanted, as far as it goes."""
        if half.row is None:
            half.row = await self._ask(half, Call.ATTACH)
        if half.row is None:
            half.serving, half.refusal = False, "superseded"
            return
        partner = self._partner(half)
        if half.wanted["paused"] or partner is None:
            half.in_step = False
            await self._go_solo(half)
        elif not half.in_step and not half.quiesced:
            await self._resync(half, partner)
        half.serving = half.row is not None and (half.in_step or half.permit)

    def _partner(self, half: FakeHalf) -> "FakeHalf | None":
        agent = self.world.agents[half.wanted["peer"]["site"]]
        other = agent.halves.get(half.session_id)
        if (
            not agent.up
            or agent.hangs
            or other is None
            or other.primary
            or other.epoch != half.epoch
            or other.holds_hello
        ):
            return None
        return other

    def partner_volume(self, half: FakeHalf, volume_id: str) -> FakeVolume:
        """The other site's volume of the pair."""
        agent = self.world.agents[half.wanted["peer"]["site"]]
        other = agent.halves[half.session_id]
        pair_id = next(m["pair_id"] for m in half.wanted["members"] if m["volume_id"] == volume_id)
        name = next(m["volume_id"] for m in other.wanted["members"] if m["pair_id"] == pair_id)
        return agent.volumes[name]

    async def _go_solo(self, half: FakeHalf) -> None:
        if not half.permit:
            half.row = await self._ask(half, Call.REQUEST_SOLO)
            half.permit = half.row is not None

    async def _resync(self, half: FakeHalf, partner: FakeHalf) -> None:
        names = [member["volume_id"] for member in half.wanted["members"]]
        pairs = [(self.volumes[name], self.partner_volume(half, name)) for name in names]
        assert half.row is not None
        clean = all(
            mine.generation == other.generation and not mine.dirty + other.dirty for mine, other in pairs
        )
        if not (half.row.state is RowState.IN_SYNC and clean and pairs[0][0].generation):
            await self._go_solo(half)
            half.row = await self._ask(half, Call.REQUEST_RESYNC)
            if half.row is None:
                return
            self.world.next_generation += 1
            for mine, other in pairs:
                other.content, other.consistent, other.blank = mine.content, True, False
                mine.blank, mine.dirty, other.dirty, mine.failed = False, 0, 0, 0
                mine.generation = other.generation = f"g{self.world.next_generation}"
            half.row = await self._ask(half, Call.REPORT_IN_SYNC)
            if half.row is None:
                return
        assert all(mine.content == other.content for mine, other in pairs), "called equal, and are not"
        half.permit, half.in_step = False, True

    async def _ask(self, half: FakeHalf, call: Call) -> Row | None:
        version = half.row.version if half.row is not None else 0
        ask = Ask(call, epoch=half.epoch, site=self.site, version=version)
        try:
            answer = await arbiter.call(self.world.database, half.session_id, ask)
        except DatabaseUnavailable:
            return None  # nobody knows
        if answer is Refusal.CHANGED:
            half.row = None
            half.permit = False
        return answer if isinstance(answer, Row) else None

    # --- telling ---

    def _volumes_of(self, session_id: str) -> list[FakeVolume]:
        return [volume for volume in self.volumes.values() if volume.session_id == session_id]

    def actual(self, half: FakeHalf) -> Json:
        """As the agreement spells it."""
        row = half.row
        members = [m for m in half.wanted["members"] if m["volume_id"] in self.volumes]
        return {
            "session_id": half.session_id,
            "epoch": half.epoch,
            "revision": half.wanted["revision"],
            "role": half.wanted["role"],
            "state": "fake",
            "in_step": half.in_step,
            "serving": half.serving,
            "quiesced": half.quiesced,
            "holds_hello": half.holds_hello,
            "refusal": half.refusal,
            "row": row and {"epoch": row.epoch, "state": row.state.value, "version": row.version},
            "permit": half.permit,
            "link": {"up": half.in_step, "since": 0, "error": None},
            "unanswered": {"writes": 0, "bytes": 0},
            "connections": 0,
            "resync": None,
            "last_resync": None,
            "volumes": [self._told(member) for member in members],
        }

    def _told(self, member: Json) -> Json:
        volume = self.volumes[member["volume_id"]]
        return {
            "pair_id": member["pair_id"],
            "volume_id": member["volume_id"],
            "size_bytes": volume.size_bytes,
            "generation": volume.generation,
            "consistent": volume.consistent,
            "blank": volume.blank,
            "dirty_bytes": volume.dirty,
            "dirty_chunks": volume.dirty // CHUNK,
            "intent_extents": 0,
            "failed_bytes": volume.failed,
        }
