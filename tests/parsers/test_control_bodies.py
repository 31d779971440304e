"""What a controller puts to an agent: understood whole, or refused by name; and what is understood can be kept."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.parsers.values import ANY_JSON, property_test, spoilt

from bilocate.replication.records import Role
from bilocate.replication.wanted import MalformedWanted, Member, Wanted
from bilocate.site.bodies import WantedCopy, WantedVolume
from bilocate.site.errors import MalformedBody

SESSION = {
    "epoch": 7,
    "revision": 3,
    "role": "primary",
    "peer": {"site": "az2", "address": "/d/link.sock"},
    "paused": False,
    "members": [
        {"pair_id": "p1", "volume_id": "v1", "size_bytes": 1 << 30},
        {"pair_id": "p2", "volume_id": "v2", "size_bytes": 1 << 30},
    ],
    "trust_blank": False,
    "allow_dirty": False,
}
VOLUME = {
    "size_bytes": 1 << 30,
    "create": True,
    "revision": 4,
    "exports": [{"name": "secret", "attachment_id": "a-1"}],
    "read_only_exports": [{"name": "secret-2", "attachment_id": "a-2"}],
    "session_id": "s-1",
    "source": "/dev/sdx",
}
LEDGER_NUMBER_MAX = 2**63 - 1


@property_test(150)
@given(spoilt(SESSION) | ANY_JSON)
def test_any_wanted_session_is_understood_or_refused(content: Any) -> None:
    try:
        wanted = Wanted.from_json(content)
    except MalformedWanted:
        return
    assert max(wanted.epoch, wanted.revision) <= LEDGER_NUMBER_MAX
    for member in wanted.members:
        assert member.size_bytes <= LEDGER_NUMBER_MAX
        (member.pair_id + member.volume_id + wanted.peer_site).encode()
    assert json.loads(wanted.to_text()) == json.loads(Wanted.from_text(wanted.to_text()).to_text())


@property_test(60)
@given(
    st.builds(
        Wanted,
        epoch=st.integers(1, LEDGER_NUMBER_MAX),
        revision=st.integers(0, LEDGER_NUMBER_MAX),
        role=st.sampled_from(Role),
        peer_site=st.text(st.characters(codec="utf-8")),
        peer_address=st.text(st.characters(codec="utf-8")) | st.none(),
        paused=st.booleans(),
        members=st.just(()),
        trust_blank=st.booleans(),
        allow_dirty=st.booleans(),
    ),
    st.sets(st.text(st.characters(codec="utf-8"), max_size=4), max_size=4),
)
def test_what_the_ledger_keeps_is_what_was_wanted(wanted: Wanted, pairs: set[str]) -> None:
    members = tuple(Member(pair, f"volume of {pair}", 1 + len(pair)) for pair in sorted(pairs))
    wanted = replace(wanted, members=members)
    assert Wanted.from_text(wanted.to_text()) == wanted


@property_test(120)
@given(spoilt(VOLUME))
def test_any_wanted_volume_is_understood_or_refused(content: Any) -> None:
    if not isinstance(content, dict):
        return  # whoever reads the body has refused it
    try:
        wanted = WantedVolume.from_json(content)
    except MalformedBody:
        return
    assert max(wanted.size_bytes, wanted.revision) <= LEDGER_NUMBER_MAX
    for name, attachment, _ in wanted.exports:
        (name + attachment).encode()
    (wanted.source or "").encode()


@property_test(60)
@given(spoilt({"source_volume_id": "vol-1", "size_bytes": 1 << 30, "revision": 1}))
def test_any_wanted_copy_is_understood_or_refused(content: Any) -> None:
    if not isinstance(content, dict):
        return
    try:
        wanted = WantedCopy.from_json(content)
    except MalformedBody:
        return
    assert max(wanted.size_bytes, wanted.revision) <= LEDGER_NUMBER_MAX
    assert not wanted.source_volume_id.startswith(".")  # it may become part of a path


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 2**63, 10**400, True, "7", 1.5])
@pytest.mark.parametrize("name", ["epoch", "revision"])
def test_a_number_that_no_ledger_keeps_is_refused(name: str, value: Any) -> None:
    """The commit of one would end the agent."""
    with pytest.raises(MalformedWanted):
        Wanted.from_json({**SESSION, name: value})
