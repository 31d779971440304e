"""What each site's agent is to have, from the database's rows. Pure; the JSON is the agents' agreement."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bilocate.domain.geometry import GIB
from bilocate.operations.settings import SiteAddress
from bilocate.store.models import READ_ONLY, Attachment, Pair, Session, Volume

Json = dict[str, Any]


def wanted_volume(
    volume: Volume, live: Iterable[Attachment], served: bool, session_id: str | None = None
) -> Json:
    """A volume at its site. `served` is false for a secondary's volume: it is never exported (rule 2).

    It is created only once: a disk that went missing later is an error to be shown, not an empty volume.
    `session_id` names the session that carries it: an agent that has lost its ledger serves no such volume
    as a plain one before it has been put that session (rule 17).
    """
    named = sorted((a for a in live if served and a.export_name is not None), key=lambda a: a.id)
    exports: dict[bool, list[Json]] = {False: [], True: []}
    for a in named:
        exports[a.mode == READ_ONLY].append({"name": a.export_name, "attachment_id": a.id})
    return {
        "size_bytes": volume.size_gib * GIB,
        "create": not volume.made,
        "revision": volume.wanted_revision,
        "exports": exports[False],
        "read_only_exports": exports[True],
        "session_id": session_id,
        "source": volume.source,
    }


def wanted_session(
    session: Session, members: Sequence[Pair], site: str, peer: SiteAddress, sizes_gib: Mapping[str, int]
) -> Json:
    """A session at one of its two sites. Members are in the order of their ids: both sites number them alike.

    `sizes_gib`: by volume, of this site's: while a pair grows the secondary's is ahead (GROWTH). One that is not in
    it, since it is gone, has its pair's size.
    """
    address = peer.link_address
    return {
        "epoch": session.epoch,
        "revision": session.revision,
        "role": "primary" if session.primary_site == site else "secondary",
        "peer": {"site": peer.name, "address": address if isinstance(address, str) else list(address)},
        "paused": session.paused,
        "members": [
            {
                "pair_id": pair.id,
                "volume_id": volume_id,
                "size_bytes": sizes_gib.get(volume_id, pair.size_gib) * GIB,
            }
            for pair in sorted(members, key=lambda pair: pair.id)
            for volume_id in [pair.volume_at(site)]
        ],
        "trust_blank": session.trust_blank,
        "allow_dirty": session.allow_dirty,
    }


def is_older(found: Json, wanted: Json) -> bool:
    """Whether what an agent has of a session must be replaced (rule REV: never by something older)."""
    return (int(found["epoch"]), int(found["revision"])) < (wanted["epoch"], wanted["revision"])
