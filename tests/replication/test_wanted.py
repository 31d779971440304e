"""The wanted state of a session: there and back, and what can't be understood."""

from typing import Any

import pytest

from bilocate.replication.records import Role
from bilocate.replication.wanted import MalformedWanted, Member, NotPossibleNow, OlderWanted, Wanted

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
    assert (wanted.peer_site, wanted.peer_address) == ("az2", ["::1", 7])
    assert wanted.members[1] == Member("p2", "v2", 2048)
    assert wanted.trust_blank
    assert Wanted.from_text(wanted.to_text()) == wanted


@pytest.mark.parametrize("word", ["paused", "trust_blank", "allow_dirty"])
def test_what_an_operator_gives_leave_for_is_that_and_nothing_else(word: str) -> None:
    nothing = {"paused": False, "trust_blank": False, "allow_dirty": False}
    wanted = Wanted.from_json({**JSON, **nothing, word: True})
    assert {name: getattr(wanted, name) for name in nothing} == {**nothing, word: True}


def test_what_an_older_controller_does_not_say_is_no() -> None:
    content = {key: value for key, value in JSON.items() if key not in ("trust_blank", "allow_dirty")}
    wanted = Wanted.from_json(content)
    assert wanted.trust_blank is wanted.allow_dirty is False


@pytest.mark.parametrize("missing", ["epoch", "revision", "role", "peer", "paused", "members"])
def test_a_missing_field_is_named(missing: str) -> None:
    with pytest.raises(MalformedWanted, match=missing):
        Wanted.from_json({key: value for key, value in JSON.items() if key != missing})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epoch", 0),
        ("epoch", "x"),
        ("epoch", 2**63),
        ("revision", -1),
        ("revision", 1.5),
        ("revision", True),
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


def test_numbers_are_taken_as_far_as_the_ledger_keeps_them() -> None:
    wanted = Wanted.from_json({**JSON, "epoch": 2**63 - 1, "revision": 0})
    assert (wanted.epoch, wanted.revision) == (2**63 - 1, 0)
    with pytest.raises(MalformedWanted, match="not whole, negative or too large"):
        Wanted.from_json({**JSON, "revision": 2**63})


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"epoch": 0}, "^epochs and sizes are positive"),
        ({"members": [JSON["members"][0]] * 2}, "^members are sorted by pair id, each once: their order"),
    ],
)
def test_a_refusal_says_what_is_wanted(change: dict[str, Any], remedy: str) -> None:
    with pytest.raises(MalformedWanted, match=remedy):
        Wanted.from_json({**JSON, **change})


def test_a_ledgers_text_that_is_cut_off_is_refused() -> None:
    text = Wanted.from_json(JSON).to_text()
    with pytest.raises(MalformedWanted, match="the wanted state is not JSON: "):
        Wanted.from_text(text[:-1])


def test_refusals_have_the_code_that_a_controller_reads() -> None:
    older = OlderWanted("s", "revision", 3, 4)
    assert older.code == "older_revision"
    assert "session s: revision 3 was put, 4 is known" in str(older)
    busy = NotPossibleNow("busy", "try again")
    assert (busy.code, str(busy)) == ("busy", "try again")


@pytest.mark.parametrize("content", [None, [], "x", 7])
def test_what_is_no_object_is_refused(content: Any) -> None:
    with pytest.raises(MalformedWanted):
        Wanted.from_json(content)
