"""The world does as it says, and its checkers notice what they are for."""

import errno
from collections.abc import Sequence
from random import Random

import pytest
from tests.sim.checkers.registers import Branch
from tests.sim.checkers.violation import Violation
from tests.sim.checkers.watch import Watch
from tests.sim.world.channel import Channel
from tests.sim.world.delays import Steady
from tests.sim.world.disk import SECTOR, ZERO, Disk, Failure
from tests.sim.world.history import History, HostOp, content_of, writer_of
from tests.sim.world.link import End, Wire
from tests.sim.world.scheduler import Kind, Scheduler
from tests.sim.world.trace import Trace
from tests.sim.world.world import KIB, SESSION, A, B, World

from bilocate.replication.frames import Arrival, header
from bilocate.replication.frames import Kind as FrameKind
from bilocate.replication.requests import Op, Request

SIZE = 320 * KIB + SECTOR
ONE, TWO = bytes([1]) * SECTOR, bytes([2]) * SECTOR


# --- disks ---


def test_a_power_cut_takes_what_was_written_after_the_flush_began() -> None:
    disk, rng = Disk("v", SIZE), Random(1)
    disk.write(0, SECTOR, ONE, rng)
    end = disk.begin_flush()
    disk.write(0, SECTOR, TWO, rng)
    disk.write(SECTOR, SECTOR, TWO, rng)
    assert end() == 0
    disk.power_cut(lambda versions: 0)
    assert disk.read(0, 2 * SECTOR) == ONE + ZERO


def test_a_flush_hardens_only_what_was_written_before_it_began_whatever_others_do() -> None:
    disk, rng = Disk("v", SIZE), Random(1)
    disk.write(0, SECTOR, ONE, rng)
    end, other_end = disk.begin_flush(), disk.begin_flush()
    assert other_end() == 0
    disk.write(0, SECTOR, TWO, rng)
    assert end() == 0
    disk.power_cut(lambda versions: 0)
    assert disk.read(0, SECTOR) == ONE


def test_a_power_cut_may_leave_any_version_since_the_flush() -> None:
    disk, rng = Disk("v", SIZE), Random(1)
    for content in (ONE, TWO, ZERO):
        disk.write(0, SECTOR, content, rng)
    assert disk.power_cut(lambda versions: 1)
    assert disk.read(0, SECTOR) == ONE


def test_a_process_that_ends_leaves_the_page_cache() -> None:
    disk = Disk("v", SIZE)
    disk.write(0, SECTOR, ONE, Random(1))
    disk.process_ended()
    assert disk.read(0, SECTOR) == ONE


def test_a_flush_that_failed_fails_until_the_disk_is_opened_again() -> None:
    disk = Disk("v", SIZE)
    disk.write(0, SECTOR, ONE, Random(1))
    disk.failures.append(Failure("flush", errno.EIO))
    assert disk.begin_flush()() == errno.EIO
    disk.failures.clear()
    assert disk.begin_flush()() == errno.EIO
    disk.process_ended()
    assert disk.begin_flush()() == 0


def test_failures_are_of_their_range() -> None:
    disk, rng = Disk("v", SIZE), Random(1)
    disk.failures.append(Failure("write", errno.ENOSPC, SECTOR, 2 * SECTOR))
    assert disk.write(0, SECTOR, ONE, rng) == 0
    assert disk.write(0, 2 * SECTOR, ONE + ONE, rng) == errno.ENOSPC
    assert disk.read(SECTOR, SECTOR) in (ZERO, ONE)


def test_chunks_are_hashed_anew_when_something_was_written() -> None:
    disk, rng = Disk("v", SIZE), Random(1)
    zeros = disk.chunk(0)
    disk.write(0, SECTOR, ONE, rng)
    written = disk.chunk(0)
    disk.write(0, SECTOR, b"", rng)
    again, last = disk.chunk(0), disk.chunk(5)
    assert not any(isinstance(chunk, int) for chunk in (zeros, written, again, last))
    assert zeros.data is None  # type: ignore[union-attr]
    assert written.data == ONE + bytes(64 * KIB - SECTOR)  # type: ignore[union-attr]
    assert again == zeros
    assert last.digest != zeros.digest  # type: ignore[union-attr]  # it is shorter


# --- events ---


def test_a_channel_keeps_its_order_whatever_the_delays() -> None:
    scheduler, out = Scheduler(Trace()), []
    channel = Channel(scheduler, Kind.FRAME, A)
    for delay in (5.0, 1.0, 3.0):
        channel.put(delay, "x", "", lambda delay=delay: out.append(delay))  # type: ignore[misc]
    scheduler.run(10.0)
    assert out == [5.0, 1.0, 3.0]


def test_what_is_held_holds_what_is_behind_it_in_its_channel() -> None:
    scheduler, out = Scheduler(Trace()), []
    channel = Channel(scheduler, Kind.FRAME, A)
    hold = scheduler.hold(Kind.FRAME, A, "b")
    for name in "abc":
        channel.put(1.0, name, "", lambda name=name: out.append(name))  # type: ignore[misc]
    scheduler.run(5.0)
    assert out == ["a"]
    scheduler.release(hold)
    scheduler.run(1.0)
    assert out == ["a", "b", "c"]


class Reader:
    """An end's owner that keeps what it is given."""

    def __init__(self) -> None:
        self.reads: list[list[Arrival]] = []

    def on_frames(self, end: End, frames: list[Arrival]) -> None:
        self.reads.append(frames)
        for frame in frames:
            assert bytes(frame.payload) in (b"", ONE)

    def on_lost(self, end: End, reason: str) -> None:
        raise AssertionError(reason)


@pytest.mark.parametrize(("burst", "reads"), [(0.0, [1, 1, 1]), (0.5, [3]), (0.15, [2, 1])])
def test_frames_are_read_together_and_their_payloads_last_for_the_call_only(
    burst: float, reads: list[int]
) -> None:
    scheduler, reader = Scheduler(Trace()), Reader()
    delays = iter((0.1, 0.2, 0.3))
    wire = Wire(scheduler, lambda: next(delays), lambda: burst)
    mine, _ = wire.connect(A, Reader(), B, reader)
    for seq in (1, 2, 3):
        mine.send(header(FrameKind.WRITE, 0, SECTOR, SECTOR, seq), ONE)
    scheduler.run(1.0)
    assert [len(frames) for frames in reader.reads] == reads
    for frames in reader.reads:
        for frame in frames:
            assert isinstance(frame, Request)
            assert bytes(frame.payload) == b"\xee" * SECTOR


def test_a_stopped_process_does_nothing_and_takes_up_what_waited() -> None:
    world = World([SIZE])
    world.start()
    assert world.run_until(world.in_step, 5.0)
    host = world.host(0)
    assert host.connect(A)
    world.agents[A].stop()
    op = host.write(0)
    world.run(0.3)
    assert not op.ok
    assert not host.connect(A)
    world.agents[A].go_on()
    assert world.run_until(lambda: op.ok, 1.0)


def test_a_call_to_a_stopped_process_that_is_killed_is_never_carried_out() -> None:
    world = World([SIZE])
    world.start()
    assert world.run_until(world.in_step, 5.0)
    world.agents[B].stop()
    operation = world.controller.failover(SESSION)
    world.run(0.2)
    world.agents[B].kill()
    world.agents[B].start()
    assert world.run_until(lambda: not operation.running, 5.0)
    assert operation.error is not None


def test_a_clock_that_jumps_lets_timers_ring_at_once() -> None:
    world = World([SIZE])
    world.start()
    assert world.run_until(world.in_step, 5.0)
    world.wire.black_hole(B)
    world.run(0.1)
    assert world.told(A)["link"]["up"]
    world.agents[A].clock_jumps(1.0)
    world.run(0.01)
    assert not world.told(A)["link"]["up"]


def test_a_ledger_that_rots_is_found_out_at_the_next_start() -> None:
    world = World([SIZE])
    world.start()
    assert world.run_until(world.in_step, 5.0)
    world.agents[B].ledger.rotten = True
    world.run(0.5)
    assert world.in_step()
    world.agents[B].kill()
    world.agents[B].start()
    world.run(0.01)
    assert not world.agents[B].ledger.sessions
    assert world.run_until(world.in_step, 10.0)


def test_what_a_host_asks_close_together_is_taken_together() -> None:
    delays = Steady()
    world = World([SIZE], delays=delays)
    world.start()
    assert world.run_until(world.in_step, 5.0)
    host = world.host(0)
    assert host.connect(A)
    taken: list[int] = []
    ports = world.agents[A].sessions[SESSION]
    take = ports.session.submit_all

    def submit_all(requests: Sequence[Request]) -> None:
        taken.append(len(requests))
        take(requests)

    ports.session.submit_all = submit_all  # type: ignore[method-assign]
    delays.read = lambda: 0.01  # type: ignore[method-assign]
    ops = [host.write(0), host.write(1), host.flush()]
    world.run(0.5)
    assert taken == [3]
    assert all(op.ok for op in ops)


# --- checkers ---


def _op(history: History, op: Op = Op.WRITE, answered: bool = True) -> HostOp:
    record = history.issue(op, 0, A, 0, 1)
    if answered:
        record.answered = history.tick()
    return record


def test_registers_know_what_may_be_found() -> None:
    history = History()
    branch = Branch(history, 0)
    first, second = _op(history), _op(history)
    under_way = _op(history, answered=False)
    branch.logs_of(0, range(1))[0].writes += [first, second, under_way]
    now = history.tick()
    assert branch.why_not(0, 0, second.number, now) is None
    assert branch.why_not(0, 0, under_way.number, now) is None
    assert "answered after it" in str(branch.why_not(0, 0, first.number, now))
    assert "zeros" in str(branch.why_not(0, 0, 0, now))
    assert branch.why_not(0, 0, 99, now) is not None
    branch.logs_of(0, range(1))[0].claims.append((now, history.tick(), under_way.number))
    branch.logs_of(0, range(1))[0].seen[under_way.number] = history.clock
    assert "read after it" in str(branch.why_not(0, 0, second.number, history.tick()))


def test_a_loss_that_is_allowed_on_one_volume_is_none_of_the_others() -> None:
    """Two groups at one site, as after a split: one tells its hosts of a crash, the other has not served yet."""
    history = History()
    branch = Branch(history, 0)
    old = _op(history)
    branch.logs_of(0, range(1))[0].writes += [old, new := _op(history)]
    branch.logs_of(1, range(1))[0].writes.append(_op(history))
    history.branch += 1
    after = branch.rebased(history.tick(), {1: Disk("v", SIZE, 1)}, A)
    for _ in range(2):
        now = history.tick()
        assert after.why_not(1, 0, 0, now) is None, "what the disk held is the truth"
        assert after.why_not(0, 0, new.number, now) is None
        assert "answered after it" in str(after.why_not(0, 0, old.number, now))
        assert "answered after it" in str(after.why_not(0, 0, 0, now)), "zeros were there before, not since"
        after = after.fork()


def test_what_was_asked_before_a_loss_that_is_allowed_may_still_be_done() -> None:
    """A host connected anew after a crash, and asked, before the site told the others and served them all."""
    history = History()
    branch = Branch(history, 0)
    waiting, over, elsewhere = (_op(history, answered=False) for _ in range(3))
    over.ended = history.tick()
    elsewhere.site = B
    branch.logs_of(0, range(1))[0].writes += [waiting, over, elsewhere]
    after = branch.rebased(history.tick(), {0: Disk("v", SIZE, 0)}, A)
    now = history.tick()
    assert after.why_not(0, 0, 0, now) is None
    assert after.why_not(0, 0, waiting.number, now) is None
    assert "not of this history" in str(after.why_not(0, 0, over.number, now))
    assert "not of this history" in str(after.why_not(0, 0, elsewhere.number, now))


def test_every_sector_says_who_wrote_it_and_where_it_belongs() -> None:
    op = History().issue(Op.WRITE, 3, A, 7, 2)
    content = content_of(op)
    assert writer_of(3, 8, content[SECTOR:]) == op.number
    with pytest.raises(AssertionError, match="was written to"):
        writer_of(3, 7, content[SECTOR:])


def _in_step() -> tuple[World, Watch]:
    world = World([SIZE])
    watch = Watch(world)
    world.start()
    assert world.run_until(world.in_step, 5.0)
    return world, watch


def test_a_lost_write_is_noticed_when_the_site_serves_and_when_it_is_read() -> None:
    world, watch = _in_step()
    host = world.host(0)
    host.connect(A)
    host.write(0)
    world.run()
    world.disk(0, A).cache.clear()
    with pytest.raises(Violation, match="P1"):
        watch.durable.check_all(A)
    with pytest.raises(Violation, match="P4"):
        host.read(0)


def test_copies_that_differ_are_noticed() -> None:
    world, watch = _in_step()
    host = world.host(0)
    host.connect(A)
    host.write(0)
    world.run()
    watch.evidence.equal("now")
    watch.evidence.audit(SESSION)
    world.disk(0, B).cache.clear()
    world.disk(0, B).changed = None
    with pytest.raises(Violation, match="P5"):
        watch.evidence.equal("now")
    with pytest.raises(Violation, match="P5"):
        watch.evidence.audit(SESSION)


def test_a_second_writer_is_noticed() -> None:
    world, watch = _in_step()
    host = world.host(0)
    host.connect(A)
    watch.one_writer.failed_over(B, False)
    watch.one_writer.served(B, [0])
    host.write(0)
    with pytest.raises(Violation, match="P2"):
        world.run()


def test_a_dependent_write_without_what_it_depends_on_is_noticed() -> None:
    world, watch = _in_step()
    host = world.host(0)
    host.connect(A)
    host.write(0)
    world.run()
    host.write(8)
    world.run()
    world.disk(0, B).cache.pop(0)
    watch.durable.failed_over(B, True)
    with pytest.raises(Violation, match="P3"):
        watch.durable.served(B, [0])
