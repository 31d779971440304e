"""The wanted state of a session: there and back, and what can't be understood."""

from typing import Any

import pytest

from bilocate.replication.records import Role
from bilocate.replication.wanted import MalformedWanted, Member, Wanted

JSON: dict[str, Any] = {
    "epoch": 5,
    "revision": 2,
    "role": "primary",
    "peer": {"site": "az2", "address": ["::1", 7]},
    "paused": False,
    "members": [
        {"pair_id": "p1", "volume_id": "v1", "size_bytes": 1024},
        {"pair_id": "p2", "volume_id": "v2", "size_bytes": 2048},
    ],
    "trust_blank": True,
    "allow_dirty": False,
}


def test_from_json_to_the_ledger_and_back() -> None:
    wanted = Wanted.from_json(JSON)
    assert wanted.role is Role.PRIMARY
    assert wanted.peer_site == "az2"
    assert wanted.members[1] == Member("p2", "v2", 2048)
    assert wanted.trust_blank
    assert Wanted.from_text(wanted.to_text()) == wanted


def test_what_an_older_controller_does_not_say_is_no() -> None:
    content = {key: value for key, value in JSON.items() if key not in ("trust_blank", "allow_dirty")}
    wanted = Wanted.from_json(content)
    assert not wanted.trust_blank
    assert not wanted.allow_dirty


@pytest.mark.parametrize("missing", ["epoch", "revision", "role", "peer", "paused", "members"])
def test_a_missing_field_is_named(missing: str) -> None:
    with pytest.raises(MalformedWanted, match=missing):
        Wanted.from_json({key: value for key, value in JSON.items() if key != missing})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epoch", 0),
        ("epoch", "x"),
        ("revision", -1),
        ("role", "both"),
        ("peer", "az2"),
        ("members", [{"pair_id": "p1"}]),
        ("members", [{"pair_id": "p1", "volume_id": "v", "size_bytes": 0}]),
        ("members", list(reversed(JSON["members"]))),
        ("members", [JSON["members"][0], JSON["members"][0]]),
        ("members", None),
    ],
)
def test_a_wrong_field_is_refused(field: str, value: Any) -> None:
    with pytest.raises(MalformedWanted):
        Wanted.from_json({**JSON, field: value})


@pytest.mark.parametrize("content", [None, [], "x", 7])
def test_what_is_no_object_is_refused(content: Any) -> None:
    with pytest.raises(MalformedWanted):
        Wanted.from_json(content)
