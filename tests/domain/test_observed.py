"""The truth shown: from the row and two reports, and nothing else."""

from dataclasses import replace
from itertools import product

from bilocate.domain.arbiter import RowState
from bilocate.domain.failures import Failure
from bilocate.domain.observed import FaultLevel, HalfReport, Observed, Replication, Wanted, observe

EPOCH = 7
WANTED = Wanted(EPOCH, RowState.IN_SYNC, paused=False, members=2)
PRIMARY = HalfReport(EPOCH, primary=True, in_step=True, serving=True, link_up=True, generations=("g1", "g1"))
SECONDARY = HalfReport(EPOCH, primary=False, link_up=True, generations=("g1", "g1"))
PAUSED = replace(WANTED, state=RowState.STALE, paused=True)
APART = replace(PRIMARY, in_step=False, link_up=False)


def test_in_step_is_active() -> None:
    assert observe(WANTED, PRIMARY, SECONDARY) == Observed(Replication.ACTIVE, FaultLevel.NONE)


def test_the_primarys_word_alone_is_not_enough() -> None:
    stale = replace(WANTED, state=RowState.STALE)
    assert observe(stale, PRIMARY, SECONDARY).replication is Replication.INACTIVE


def test_a_report_of_another_epoch_or_role_says_nothing() -> None:
    for wrong in (replace(PRIMARY, epoch=EPOCH - 1), replace(PRIMARY, primary=False)):
        found = observe(WANTED, wrong, SECONDARY)
        assert found == Observed(Replication.INACTIVE, FaultLevel.PRODUCTION_LOST)


def test_paused_and_equal() -> None:
    assert observe(PAUSED, APART, SECONDARY) == Observed(Replication.PAUSED_EQUAL, FaultLevel.NONE)


def test_paused_is_equal_only_when_both_sites_prove_it() -> None:
    different = [
        (None, SECONDARY),
        (APART, None),
        (replace(APART, dirty_bytes=65536), SECONDARY),
        (APART, replace(SECONDARY, dirty_bytes=65536)),
        (APART, replace(SECONDARY, consistent=False)),
        (APART, replace(SECONDARY, blank=True)),
        (replace(APART, blank=True), SECONDARY),
        (APART, replace(SECONDARY, generations=("g1", "g3"))),
        (replace(APART, generations=("", "")), replace(SECONDARY, generations=("", ""))),
    ]
    for primary, secondary in different:
        assert observe(PAUSED, primary, secondary).replication is Replication.INACTIVE


def test_copies_of_several_moments_are_told_before_anybody_needs_them() -> None:
    for known in (("g1", "g3"), ("g1", "")):
        joined = replace(SECONDARY, generations=known)
        assert observe(PAUSED, APART, joined).mixed_moments, known
        assert observe(replace(PAUSED, paused=False), None, joined).mixed_moments, "also without production"
        assert not observe(replace(PAUSED, members=1), APART, joined).mixed_moments, (
            "a volume is of one moment"
        )
        assert not observe(WANTED, PRIMARY, joined).mixed_moments, "it is in step"
        assert not observe(PAUSED, APART, replace(joined, epoch=EPOCH - 1)).mixed_moments, "not known"
    assert not observe(PAUSED, APART, SECONDARY).mixed_moments
    assert not observe(PAUSED, APART, replace(SECONDARY, generations=("", ""))).mixed_moments, (
        "no copies at all"
    )


def test_a_lossless_failover_is_told_as_stopped_and_equal_whatever_the_other_site_says() -> None:
    over = replace(PAUSED, failed_over=True)
    alone = replace(APART, dirty_bytes=65536)
    for other in (None, SECONDARY, replace(SECONDARY, dirty_bytes=65536)):
        assert observe(over, alone, other) == Observed(Replication.PAUSED_EQUAL, FaultLevel.NONE)
    broken = replace(alone, failed_bytes=4096)
    assert observe(over, broken, None).replication is Replication.ERROR


def test_a_running_resync_is_copying_with_its_progress() -> None:
    wanted = replace(WANTED, state=RowState.SYNCING)
    for done, total, percent in (
        (0, 200, 0),
        (50, 200, 25),
        (200, 200, 100),
        (199, 200, 99),
        (0, 0, 100),
        (300, 200, 100),
    ):
        half = replace(PRIMARY, in_step=False, resync_total_bytes=total, resync_done_bytes=done)
        found = observe(wanted, half, SECONDARY)
        assert (found.replication, found.progress) == (Replication.COPYING, percent)
        assert isinstance(found.progress, int)
        assert found.fault is FaultLevel.SECONDARY_BEHIND


def test_failed_extents_and_broken_storage_are_an_error_that_says_whose() -> None:
    found = observe(WANTED, replace(PRIMARY, failed_bytes=4096), SECONDARY)
    assert (found.replication, found.failure) == (Replication.ERROR, Failure.PRIMARY_STORAGE_ABNORMAL)
    assert found.fault is FaultLevel.PRODUCTION_LOST
    assert "4096 bytes" in str(found.message)
    found = observe(WANTED, PRIMARY, replace(SECONDARY, storage_error="volume v: EIO"))
    assert (found.replication, found.failure) == (Replication.ERROR, Failure.SECONDARY_STORAGE_ABNORMAL)
    assert found.fault is FaultLevel.NONE
    assert "EIO" in str(found.message)


def test_one_failed_byte_is_an_error_and_the_message_says_which_site() -> None:
    found = observe(WANTED, replace(PRIMARY, failed_bytes=1), replace(SECONDARY, failed_bytes=2))
    assert found.failure is Failure.PRIMARY_STORAGE_ABNORMAL
    assert str(found.message).startswith("the storage of the production site does not work: 1 bytes")
    found = observe(WANTED, PRIMARY, replace(SECONDARY, failed_bytes=1))
    assert found.failure is Failure.SECONDARY_STORAGE_ABNORMAL
    assert str(found.message).startswith("the storage of the DR site does not work: 1 bytes")


def test_nobody_is_told_to_fail_over_to_a_site_whose_storage_does_not_work() -> None:
    for broken in (replace(SECONDARY, failed_bytes=1), replace(SECONDARY, storage_error="gone")):
        assert observe(WANTED, None, broken).fault is FaultLevel.SECONDARY_BEHIND


def test_a_group_of_one_pair_has_faults_as_others() -> None:
    assert observe(replace(WANTED, members=1), None, SECONDARY).fault is FaultLevel.PRODUCTION_LOST


def test_a_silent_production_site_with_a_good_secondary_means_fail_over() -> None:
    assert observe(WANTED, None, SECONDARY).fault is FaultLevel.PRODUCTION_LOST
    assert observe(WANTED, replace(PRIMARY, serving=False), SECONDARY).fault is FaultLevel.PRODUCTION_LOST


def test_with_both_sites_silent_a_failover_would_be_refused() -> None:
    assert observe(WANTED, None, None).fault is FaultLevel.SECONDARY_BEHIND


def test_a_lost_link_is_told_unless_someone_stopped_replication() -> None:
    behind = replace(WANTED, state=RowState.STALE)
    assert observe(behind, APART, SECONDARY).fault is FaultLevel.SECONDARY_BEHIND
    assert observe(replace(behind, paused=True), APART, SECONDARY).fault is FaultLevel.NONE


def test_an_empty_group_has_no_fault() -> None:
    empty = Wanted(EPOCH, RowState.STALE, paused=True, members=0)
    assert observe(empty, None, None) == Observed(Replication.PAUSED_EQUAL, FaultLevel.NONE)


def test_every_combination_has_an_answer_and_never_claims_more_than_the_row() -> None:
    halves = [
        None,
        replace(PRIMARY, in_step=False),
        PRIMARY,
        replace(PRIMARY, resync_total_bytes=10),
        replace(PRIMARY, failed_bytes=1),
    ]
    others = [None, SECONDARY, replace(SECONDARY, dirty_bytes=1), replace(SECONDARY, consistent=False)]
    for state, paused, primary, secondary in product(RowState, (False, True), halves, others):
        found = observe(Wanted(EPOCH, state, paused, 1), primary, secondary)
        if found.replication is Replication.ACTIVE:
            assert state is RowState.IN_SYNC
        if found.fault is FaultLevel.PRODUCTION_LOST:
            assert state is RowState.IN_SYNC
            assert secondary is not None
        if state is RowState.SYNCING:
            assert found.replication is not Replication.PAUSED_EQUAL
        assert (found.failure is None) == (found.replication is not Replication.ERROR)
