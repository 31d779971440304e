"""A simulated site's control endpoint: what the real one says in HTTP, over the world's agent.

Sizes: a GiB of the controllers is an extent here, so that a volume has few chunks.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tests.sim.world.agent import Agent, UnknownHere

from bilocate.domain.errors import BilocateError
from bilocate.domain.geometry import EXTENT_BYTES, GIB
from bilocate.replication.wanted import MalformedWanted, Wanted

SCALE = GIB // EXTENT_BYTES
Json = dict[str, Any]
Answered = Callable[[tuple[int, Json]], None]


def handle(
    agent: Agent, method: str, path: str, query: Mapping[str, str], body: Json, done: Answered
) -> None:
    """One call; `done(status, answer)` is told once it is carried out, or refused."""
    parts = path.strip("/").split("/")[1:]
    match (method, *parts):
        case ("GET", "status"):
            sessions = {key: told for key in agent.sessions if (told := _session(agent, key)) is not None}
            volumes = {key: _volume(agent, key) for key in agent.volumes}
            done((200, {**_facts(agent), "sessions": sessions, "volumes": volumes}))
        case ("GET", "health"):
            done((200, {**_facts(agent), "version": "0", "announced": True}))
        case ("GET", "sessions", session_id):
            told = _session(agent, session_id)
            done((200, told) if told is not None else (404, _error("unknown_session", session_id)))
        case ("PUT", "sessions", session_id):
            _put_session(agent, session_id, body, done)
        case ("DELETE", "sessions", session_id):
            agent.delete_session(session_id, int(query["epoch"]), lambda error: done(_said(error, {})))
        case ("POST", "sessions", session_id, step):
            epoch, attempt = int(body["epoch"]), int(body["attempt"])
            agent.step(session_id, step, epoch, attempt, lambda answer: done(_said(answer, answer)))
        case ("PUT", "volumes", volume_id):
            done(_put_volume(agent, volume_id, body))
        case _:
            done((404, _error("no_such_path", path)))


def _facts(agent: Agent) -> Json:
    return {"site": agent.site, "instance": agent.instance, "boot_id": agent.boot_id}


def _put_session(agent: Agent, session_id: str, body: Json, done: Answered) -> None:
    members = [{**member, "size_bytes": member["size_bytes"] // SCALE} for member in body["members"]]
    wanted = Wanted.from_json({**body, "members": members})

    def put(error: BilocateError | None) -> None:
        told = _session(agent, session_id)
        done(_said(error, told if told is not None else {}))

    agent.put_session(session_id, wanted, put)


def _put_volume(agent: Agent, volume_id: str, body: Json) -> tuple[int, Json]:
    volume = agent.volumes.get(volume_id)
    if volume is None:
        return 409, _error("volume_missing", volume_id)
    if body["revision"] < volume.revision:
        return 409, _error("older_revision", volume_id)
    volume.revision = body["revision"]
    size_bytes = body["size_bytes"] // SCALE
    if volume.carrier is None:  # as a session does, once it is told the size
        volume.marks.record.size_bytes = max(volume.marks.record.size_bytes, size_bytes)
        agent.ledger.apply([volume.marks.put()])
    volume.disk.size_bytes = max(volume.disk.size_bytes, size_bytes)
    return 200, _volume(agent, volume_id)


def _volume(agent: Agent, volume_id: str) -> Json:
    volume = agent.volumes[volume_id]
    carrier = volume.carrier
    return {
        "size_bytes": volume.disk.size_bytes * SCALE,
        "present": True,
        "error": None,
        "connections": len(volume.connections),
        "blank": volume.marks.record.blank,
        "exports_revision": volume.revision,
        "session_id": None if carrier is None else carrier.session_id,
        "served": carrier is not None and carrier.serving,
        "refused_attachments": 0,
    }


def _session(agent: Agent, session_id: str) -> Json | None:
    told = agent.told(session_id)
    if told is None:
        return None
    there = {"present": True, "error": None}
    volumes = [{**each, **there, "size_bytes": each["size_bytes"] * SCALE} for each in told["volumes"]]
    return {**told, "connections": 0, "volumes": volumes}


def _said(error: Any, answer: Any) -> tuple[int, Json]:
    if not isinstance(error, BilocateError):
        return 200, answer
    code = str(getattr(error, "code", "internal_error"))
    if isinstance(error, MalformedWanted):
        return 400, _error("malformed", str(error))
    if isinstance(error, UnknownHere):
        known = str(error).startswith("volume")
        return (
            (409, _error("unknown_volume", str(error)))
            if known
            else (404, _error("unknown_session", str(error)))
        )
    return (503 if code == "busy" else 409), _error(code, str(error))


def _error(code: str, message: str) -> Json:
    return {"error": code, "message": message}
