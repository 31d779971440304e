"""What a session tells people and the controller of itself (GET /v1/sessions).

A verb that acts on it must be safe if it has changed meanwhile: what decides is the arbiter's row.
"""

from typing import TYPE_CHECKING, Any

from bilocate.replication.primary import PrimaryHalf
from bilocate.replication.resync import Progress
from bilocate.replication.secondary import SecondaryHalf

if TYPE_CHECKING:
    from bilocate.replication.session import Session


def told_of(session: "Session", now: float) -> dict[str, Any]:
    """The session's JSON; sizes are bytes, times seconds."""
    half, wanted = session.half, session.wanted
    assert wanted is not None
    primary = half if isinstance(half, PrimaryHalf) else None
    return {
        "session_id": session.session_id,
        "epoch": session.epoch,
        "revision": wanted.revision,
        "role": wanted.role.value,
        "state": half.state.value if half is not None else "stopped",
        "in_step": half is not None and half.in_step,
        "serving": primary is not None and primary.serving,
        "quiesced": primary is not None and primary.quiesced,
        "holds_hello": isinstance(half, SecondaryHalf) and bool(half.holds_hello),
        "refusal": half.refusal if half is not None else None,
        "row": _row(primary),
        "permit": primary is not None and primary.path.permit,
        "link": {"up": half is not None and half.linked},
        "unanswered": _unanswered(primary),
        "resync": _progress(primary.resync.progress, now) if primary is not None else None,
        "last_resync": _progress(primary.resync.last_progress, now) if primary is not None else None,
        "volumes": _volumes(session),
    }


def _row(primary: PrimaryHalf | None) -> dict[str, Any] | None:
    row = primary.view.row if primary is not None else None
    return None if row is None else {"epoch": row.epoch, "state": row.state.value, "version": row.version}


def _unanswered(primary: PrimaryHalf | None) -> dict[str, int]:
    if primary is None:
        return {"writes": 0, "bytes": 0}
    return {"writes": len(primary.path.unanswered), "bytes": primary.path.bytes}


def _progress(progress: Progress | None, now: float) -> dict[str, Any] | None:
    if progress is None:
        return None
    return {
        "total_bytes": progress.total_bytes,
        "done_bytes": progress.done_bytes,
        "differing_bytes": progress.differing_bytes,
        "link_bytes": progress.link_bytes,
        "seconds": round((now if progress.ended is None else progress.ended) - progress.started, 3),
    }


def _volumes(session: "Session") -> list[dict[str, Any]]:
    """Of each member that is here; a ledger that was lost in part may lack some."""
    assert session.wanted is not None
    found = {each.record.volume_id: each for each in session.marks}
    present = [
        (member, found[member.volume_id]) for member in session.wanted.members if member.volume_id in found
    ]
    return [
        {
            "pair_id": member.pair_id,
            "volume_id": member.volume_id,
            "size_bytes": each.record.size_bytes,
            "generation": each.record.generation,
            "consistent": each.record.consistent,
            "blank": each.record.blank,
            "dirty_bytes": each.dirty_bytes,
            "dirty_chunks": len(each.record.dirty),
            "intent_extents": len(each.record.intents),
            "failed_bytes": each.failed_bytes,
        }
        for member, each in present
    ]
