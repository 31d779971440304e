"""The negotiation without I/O: every conversation whole, byte by byte, and with bytes behind it."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.site.nbd import raw
from tests.site.nbd.memory import EXPORT, MemoryTarget, OneExport
from tests.site.nbd.raw import ACK, ERR_INVALID, ERR_UNKNOWN, ERR_UNSUP, INFO, META_CONTEXT, SERVER, option

from bilocate.site.nbd.handshake import Chosen, Ended, Handshake
from bilocate.site.nbd.limits import Limits

FLAGS = pack(">I", 3)
ALLOCATION = b"base:allocation"


def replied(number: int, kind: int, data: bytes = b"") -> bytes:
    return pack(">QIII", 0x3E889045565A9, number, kind, len(data)) + data


def conversation(pieces: list[bytes], shown: bool = False) -> tuple[bytes, Chosen | Ended | None, bytes]:
    """(all replies, the outcome, bytes behind it) of a handshake that is fed piece by piece."""
    source = OneExport(MemoryTarget())
    source.shown = shown
    handshake = Handshake(source, Limits())
    waiting, replies = b"", b""
    for piece in pieces:
        waiting += piece
        while handshake.outcome is None:
            consumed, reply = handshake.receive(memoryview(waiting))
            waiting, replies = waiting[consumed:], replies + reply
            if not consumed:
                break
    return replies, handshake.outcome, waiting


def talk(data: bytes, shown: bool = False) -> tuple[bytes, Chosen | Ended | None]:
    """The replies to flags and options, the same however they are cut."""
    whole, outcome, rest = conversation([FLAGS + data], shown)
    by_bytes = conversation([bytes([byte]) for byte in FLAGS + data], shown)
    assert (by_bytes[0], type(by_bytes[1]), by_bytes[2]) == (whole, type(outcome), rest)
    if outcome is not None:
        assert conversation([FLAGS + data + b"trailing"], shown)[2] == rest + b"trailing"
    return whole, outcome


INFO_EXPORT_PLAIN = pack(">HQH", 0, 1024 * 1024, 0b1101_0110_1101)
INFO_EXPORT_STRUCTURED = pack(">HQH", 0, 1024 * 1024, 0b1101_1110_1101)
INFO_BLOCK_SIZE = pack(">HIII", 3, 1, 4096, 32 * 1024 * 1024)


def test_go_tells_the_export_and_its_block_sizes() -> None:
    replies, outcome = talk(option(raw.OPT_GO, raw.go_data()))
    assert replies == (
        replied(7, INFO, INFO_EXPORT_PLAIN) + replied(7, INFO, INFO_BLOCK_SIZE) + replied(7, ACK)
    )
    assert isinstance(outcome, Chosen)
    assert not outcome.structured
    assert not outcome.allocation


def test_info_tells_what_is_asked_and_goes_on() -> None:
    replies, outcome = talk(option(raw.OPT_INFO, raw.go_data(infos=(1, 2, 3, 99))))
    name = replied(6, INFO, b"\0\1" + EXPORT.encode())
    described = replied(6, INFO, b"\0\2Bilocate volume")
    assert replies == (
        replied(6, INFO, INFO_EXPORT_PLAIN)
        + name
        + described
        + replied(6, INFO, INFO_BLOCK_SIZE)
        + replied(6, ACK)
    )
    assert outcome is None


def test_export_name_is_answered_with_and_without_zeros() -> None:
    told = INFO_EXPORT_PLAIN[2:]
    assert talk(option(raw.OPT_EXPORT_NAME, EXPORT.encode()))[0] == told
    replies, outcome, _ = conversation([pack(">I", 1) + option(raw.OPT_EXPORT_NAME, EXPORT.encode())])
    assert replies == told + bytes(124)
    assert isinstance(outcome, Chosen)


@pytest.mark.parametrize("name", [b"other", b"", b"\xff\xfe"])
def test_an_unknown_export_name_ends_it(name: bytes) -> None:
    replies, outcome = talk(option(raw.OPT_EXPORT_NAME, name))
    assert replies == b""
    assert isinstance(outcome, Ended)


@pytest.mark.parametrize("number", [raw.OPT_GO, raw.OPT_INFO, raw.OPT_LIST_META])
def test_an_unknown_name_is_refused_and_another_may_be_tried(number: int) -> None:
    data = raw.meta_data(name="other") if number == raw.OPT_LIST_META else raw.go_data("other")
    replies, outcome = talk(option(number, data) + option(raw.OPT_GO, raw.go_data()))
    assert replies.startswith(replied(number, ERR_UNKNOWN, b"no such export"))
    assert isinstance(outcome, Chosen)


def test_names_are_listed_only_when_allowed() -> None:
    assert talk(option(raw.OPT_LIST))[0] == replied(3, ACK)
    listed = replied(3, SERVER, raw.string(EXPORT)) + replied(3, ACK)
    assert talk(option(raw.OPT_LIST), shown=True)[0] == listed


def test_abort_is_acknowledged_and_ends_it() -> None:
    replies, outcome = talk(option(raw.OPT_ABORT))
    assert replies == replied(2, ACK)
    assert isinstance(outcome, Ended)


@pytest.mark.parametrize("number", [raw.OPT_STARTTLS, 4, 11, 4_000_000_000])
def test_unknown_options_are_skipped_with_their_data(number: int) -> None:
    replies, outcome = talk(option(number, b"whatever") + option(raw.OPT_LIST))
    assert replies == replied(number, ERR_UNSUP) + replied(3, ACK)
    assert outcome is None


def test_structured_replies_and_allocation_are_agreed_on() -> None:
    replies, outcome = talk(
        option(raw.OPT_STRUCTURED)
        + option(raw.OPT_SET_META, raw.meta_data("x:other", "base:allocation"))
        + option(raw.OPT_GO, raw.go_data())
    )
    assert replies == (
        replied(8, ACK)
        + replied(10, META_CONTEXT, pack(">I", 1) + ALLOCATION)
        + replied(10, ACK)
        + replied(7, INFO, INFO_EXPORT_STRUCTURED)
        + replied(7, INFO, INFO_BLOCK_SIZE)
        + replied(7, ACK)
    )
    assert isinstance(outcome, Chosen)
    assert (outcome.structured, outcome.allocation) == (True, True)


@pytest.mark.parametrize(
    ("queries", "shown"),
    [
        ((), True),
        (("base:",), True),
        (("base:allocation",), True),
        (("base:other",), False),
        (("qemu:",), False),
    ],
)
def test_contexts_are_listed(queries: tuple[str, ...], shown: bool) -> None:
    replies, _ = talk(option(raw.OPT_LIST_META, raw.meta_data(*queries)))
    told = replied(9, META_CONTEXT, pack(">I", 0) + ALLOCATION) if shown else b""
    assert replies == told + replied(9, ACK)


@pytest.mark.parametrize(
    "before",
    [
        option(raw.OPT_SET_META, raw.meta_data("base:allocation", name="other")),
        option(raw.OPT_SET_META, raw.meta_data("base:allocation"))
        + option(raw.OPT_SET_META, raw.meta_data()),
        option(raw.OPT_SET_META, raw.meta_data("base:allocation")) + option(raw.OPT_SET_META, b"?"),
        option(raw.OPT_SET_META, raw.meta_data("base:")),
    ],
)
def test_allocation_counts_only_as_selected_last_for_this_export(before: bytes) -> None:
    _, outcome = talk(option(raw.OPT_STRUCTURED) + before + option(raw.OPT_GO, raw.go_data()))
    assert isinstance(outcome, Chosen)
    assert not outcome.allocation


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (raw.OPT_LIST, b"x"),
        (raw.OPT_STRUCTURED, b"x"),
        (raw.OPT_GO, b""),
        (raw.OPT_GO, b"\xff\xff\xff\xff"),
        (raw.OPT_GO, raw.go_data()[:-1]),
        (raw.OPT_GO, raw.go_data() + b"x"),
        (raw.OPT_GO, pack(">I", 2) + b"\xff\xfe" + b"\0\0"),
        (raw.OPT_GO, raw.go_data("n" * 4097)),
        (raw.OPT_GO, raw.string(EXPORT) + pack(">H", 3) + b"\0\1"),
        (raw.OPT_SET_META, raw.meta_data("base:allocation")),  # structured replies were not agreed on
        (raw.OPT_LIST_META, raw.string(EXPORT) + pack(">I", 2**32 - 1)),
        (raw.OPT_LIST_META, raw.meta_data("base:") + b"x"),
    ],
)
def test_malformed_options_are_refused_and_the_next_is_taken(number: int, data: bytes) -> None:
    replies, outcome = talk(option(number, data) + option(raw.OPT_LIST))
    assert replies[:16] == replied(number, ERR_INVALID)[:16]
    assert replies.endswith(replied(3, ACK))
    assert outcome is None


@pytest.mark.parametrize("data", [b"IHAVEOPS" + pack(">II", 3, 0), b"IHAVEOPT" + pack(">II", 3, 2**20)])
def test_a_wrong_magic_or_a_huge_option_ends_it(data: bytes) -> None:
    assert isinstance(talk(data)[1], Ended)


def test_unknown_client_flags_end_it() -> None:
    assert isinstance(conversation([pack(">I", 7)])[1], Ended)


def test_fast_zero_is_offered_only_where_it_is_true() -> None:
    target = MemoryTarget()
    target.is_fast = False
    handshake = Handshake(OneExport(target), Limits())
    handshake.receive(memoryview(FLAGS))
    _, reply = handshake.receive(memoryview(option(raw.OPT_EXPORT_NAME, EXPORT.encode())))
    assert not int.from_bytes(reply[8:10], "big") & 1 << 11


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.builds(option, st.integers(0, 12), st.binary(max_size=60)),
            st.builds(option, st.just(raw.OPT_GO), st.builds(raw.go_data, st.text(max_size=5))),
            st.builds(option, st.just(raw.OPT_SET_META), st.builds(raw.meta_data, st.text(max_size=5))),
        ),
        max_size=8,
    )
)
def test_any_bytes_are_answered_or_end_it_however_they_are_cut(pieces: list[bytes]) -> None:
    whole = conversation([FLAGS, b"".join(pieces)])
    cut = conversation([FLAGS, *(bytes([byte]) for byte in b"".join(pieces))])
    assert cut[0] == whole[0]
    assert type(cut[1]) is type(whole[1])


def test_a_read_only_export_offers_nothing_that_writes() -> None:
    target = MemoryTarget()
    target.read_only = True
    handshake = Handshake(OneExport(target), Limits())
    handshake.receive(memoryview(FLAGS))
    _, reply = handshake.receive(memoryview(option(raw.OPT_GO, raw.go_data())))
    assert replied(7, INFO, pack(">HQH", 0, 1024 * 1024, 0b101_0000_1111)) in reply
