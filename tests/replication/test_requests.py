"""A request is what its host asked for, and nothing more, when it is made and when another half takes it over."""

from bilocate.replication.requests import Op, Request, to_nobody


def state(request: Request) -> dict[str, object]:
    """All there is of a request."""
    return {name: getattr(request, name) for name in Request.__slots__}


NOTHING_YET = {
    "arrival": 0,
    "blockers": 0,
    "confirmed": False,
    "copied": False,
    "errno": 0,
    "flags": 0,
    "followers": None,
    "local": False,
    "seq": 0,
    "volume": 0,
}


def test_a_request_that_says_no_more_has_no_bytes_no_FUA_and_may_punch() -> None:
    request = Request(Op.ZERO, 512, 1024, to_nobody)
    said = {"op": Op.ZERO, "offset": 512, "length": 1024, "done": to_nobody, "data": b"", "cookie": 0}
    assert state(request) == NOTHING_YET | said | {"fua": False, "keep_allocated": False}


def test_what_one_half_could_not_answer_another_carries_out_as_it_came() -> None:
    """What was known of it is not so any more: neither written, nor confirmed, nor behind another (rule 1)."""
    request = Request(Op.WRITE, 512, 3, to_nobody, b"abc", 7, True, True)
    request.volume, request.flags = 1, 2
    before = state(request)
    request.arrival, request.seq, request.errno, request.blockers = 3, 4, 5, 6
    request.local = request.confirmed = True
    request.followers = [Request(Op.READ, 0, 512, to_nobody)]
    request.renew()
    assert state(request) == before
