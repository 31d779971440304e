"""Plots are of moments that come and of troubles that exist, and lead where they say."""

from collections import Counter
from random import Random

import pytest
from tests.sim.mix import FAULTS, Less, draw
from tests.sim.plots import PLOTS, VERBS, Beat, Deed, Director, beats_of, plain
from tests.sim.stories import story_of
from tests.sim.story import Story
from tests.sim.world.scheduler import Kind, Scheduler
from tests.sim.world.trace import Trace
from tests.sim.world.world import A, B

from bilocate.domain.arbiter import Call
from bilocate.replication.frames import Kind as FrameKind

REAL = {"controller kill", "controller pause", "controller cut"}  # of real controllers only


def _all_beats() -> list[Beat]:
    return [beat for name in PLOTS for beat in beats_of(name)]


def test_all_deeds_exist() -> None:
    known = {*FAULTS, *VERBS, *REAL, "nothing"}
    assert {deed.what for beat in _all_beats() for deed in beat.deeds} <= known


def test_all_moments_exist() -> None:
    frames = {f"FRAME {kind.name}" for kind in FrameKind} | {"FRAME CUT"}
    calls = {f"{where} {call.name}" for where in ("ASK", "ANSWER") for call in Call}
    for moment in {beat.moment for beat in _all_beats()} - frames - calls:
        kind = moment.partition(" ")[0]
        assert kind in {"LEDGER", "CALL", "FLUSH"} or moment in {"served", "failed over", "switched over"}


def test_a_plot_goes_from_moment_to_moment_and_begins_anew() -> None:
    done: list[tuple[str, str]] = []
    scheduler = Scheduler(Trace())
    director = Director(
        "DROPRACE", Random(1), scheduler, [A, B], lambda what, site: done.append((what, site))
    )
    scheduler.after_each = director.after
    first, second = beats_of("DROPRACE")
    for moment in [*[first.moment] * 6, second.moment, *[first.moment] * 6]:
        kind, _, name = moment.partition(" ")
        scheduler.after(0.0, Kind[kind], B, name, lambda: None)
        scheduler.run(0.2)
    assert len(done) in (2, 3)  # nothing is among the second's deeds
    sites = {"here": B, "there": A, "": ""}
    assert done[0] in {(deed.what, sites[deed.where]) for deed in first.deeds}
    assert done[-1] in {(deed.what, sites[deed.where]) for deed in first.deeds}


@pytest.mark.parametrize(
    ("real", "small"),
    [
        ("POST sessions/group/precheck answered 200", "precheck answered"),
        ("POST sessions/group/quiesce", "quiesce"),
        ("PUT sessions/group", "PUT"),
        ("PUT sessions/group answered 409 older_epoch", "PUT answered"),
        ("precheck answered", "precheck answered"),
    ],
)
def test_real_controllers_calls_are_known_by_the_small_ones_names(real: str, small: str) -> None:
    assert plain(real) == small


def test_a_deed_says_where() -> None:
    assert Deed("half cut", "there") in beats_of("PGEN END")[1].deeds
    assert Deed("partition") in beats_of("PGEN END")[0].deeds


def test_every_plot_is_drawn() -> None:
    drawn = {draw(Random(f"{seed} mix")).plot for seed in range(2000)}
    assert drawn == {"", *PLOTS}


def test_plots_are_played() -> None:
    happened: Counter[str] = Counter()
    for seed in range(1, 400):
        story = Story(seed)
        if story.mix.plot == "HOLDHELLO":
            story.run()
            happened += story.happened
            if happened["failover"]:
                return
    pytest.fail(f"nothing of it but {happened}")


def test_a_plot_can_be_taken_away() -> None:
    seed = next(seed for seed in range(1, 100) if seed % 20 and story_of(seed).mix.plot)
    story = story_of(seed, less=Less(frozenset({"plot"})))
    assert story._director is None
