"""Holds what a host was told against what a site has.

DURABLE: at every place stands the last record acknowledged there, or one that was sent later.
ORDER: if a record is there, so is everything that was acknowledged before it was sent, over both volumes. That
is what a power cut of one machine holding both volumes could have left.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.real.harness.events import Event, Kind
from tests.real.harness.host import Host
from tests.real.harness.images import Reader
from tests.real.harness.record import NotARecord, Place, decode, place_of

SHOWN = 5


@dataclass(slots=True)
class History:
    """What a host sent and was told, by place."""

    # In the order of sending: (record, how many had been acknowledged before).
    sent: dict[Place, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: list[tuple[int, Place]] = field(default_factory=list)  # in that order

    @classmethod
    def of(cls, events: Iterable[Event]) -> "History":
        """From a diary."""
        made, places = cls(), {}
        for event in events:
            if event.kind is Kind.ISSUED:
                place = places[event.number] = place_of(event.number, event.extra)
                made.sent[place].append((event.number, len(made.acknowledged)))
            elif event.kind is Kind.ACKNOWLEDGED:
                made.acknowledged.append((event.number, places[event.number]))
        return made


@dataclass(slots=True)
class Verdict:
    """What a site holds of a host's records."""

    acknowledged: int
    present: int = 0  # places that hold a record
    missing: list[str] = field(default_factory=list)  # acknowledged, and something older is there
    disordered: list[str] = field(default_factory=list)  # something sent later is there, this is not
    broken: list[str] = field(default_factory=list)  # no record of this host, or torn


def judge(history: History, run: bytes, site: Reader) -> Verdict:
    """Compare a diary with what a site has now."""
    verdict = Verdict(len(history.acknowledged))
    found: dict[Place, int] = {}
    for place, sent in history.sent.items():
        try:
            found[place] = decode(run, site.block(place), place)
        except NotARecord as error:
            verdict.broken.append(str(error))
            continue
        if found[place] and found[place] not in {seq for seq, _ in sent}:
            verdict.broken.append(f"{place}: record {found[place]}, which was never sent there")
    verdict.present = sum(1 for seq in found.values() if seq)
    before = _acknowledged_before_what_is_there(history, found)
    for index, (seq, place) in enumerate(history.acknowledged):
        there = found.get(place)
        if there is not None and there < seq:
            words = f"record {seq} at {place}: {there or 'nothing'} is there"
            verdict.missing.append(words)
            if index < before:
                verdict.disordered.append(words)
    return verdict


def check(host: Host, files: Sequence[Path], may_lack: bool = False) -> Verdict:
    """Assert that a site has what the host was told, in order. `may_lack`: only the order is promised."""
    site = Reader(files)
    try:
        verdict = judge(History.of(host.events), host.run, site)
    finally:
        site.close()
    assert not verdict.broken, f"{len(verdict.broken)} broken: {verdict.broken[:SHOWN]}"
    assert not verdict.disordered, f"{len(verdict.disordered)} out of order: {verdict.disordered[:SHOWN]}"
    if not may_lack:
        missing = verdict.missing
        assert not missing, f"{len(missing)} acknowledged records are missing: {missing[:SHOWN]}"
    wrong = host.wrong_reads()
    assert not wrong, f"{len(wrong)} reads were wrong: {wrong[:SHOWN]}"
    assert verdict.acknowledged, "the host was never answered"
    return verdict


def _acknowledged_before_what_is_there(history: History, found: dict[Place, int]) -> int:
    return max(
        (
            before
            for place, sent in history.sent.items()
            for seq, before in sent
            if seq and seq == found.get(place)
        ),
        default=0,
    )
