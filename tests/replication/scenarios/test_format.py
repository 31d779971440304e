"""What a text must be to be a scenario, and what its writer is told where it is none."""

import re

import pytest
from tests.replication.scenarios.format import PHRASES, NotAScenario, parse, scenarios
from tests.replication.scenarios.play import NotSo, play
from tests.sim.world.world import A, B

HEAD = "A write\npromise: P1\nrule: 1 WHO MAY ANSWER\nwithout: rule_1\n\nProse.\n\n"
FILLED = {
    "name": "w1",
    "other": "w2",
    "place": "8",
    "event": "frame WRITE",
    "state": "solo",
    "errno": "EIO",
    "number": "3",
    "seconds": "0.5",
    "role": "primary",
    "site": "A",
    "text": '"x"',
}
COLUMNS = "A | between | B\n"


def test_rows_become_steps_in_order_each_at_the_site_of_its_column() -> None:
    scenario = parse(
        f"{HEAD}{COLUMNS}---+---+---\nwrite w1; w1 is answered | (a remark) | disk has w1\n| link breaks |\n",
        "x.txt",
    )
    (row, steps), (_, after) = scenario.rows
    assert row == "write w1; w1 is answered | (a remark) | disk has w1"
    assert [(step.site, step.text) for step in steps] == [
        (A, "write w1"),
        (A, "w1 is answered"),
        (B, "disk has w1"),
    ]
    assert [(step.site, step.text, step.line) for step in after] == [("", "link breaks", 11)]
    assert (scenario.name, scenario.title, scenario.promise) == ("x", "A write", "P1")


def test_two_columns_are_enough() -> None:
    assert parse(f"{HEAD}A | B\nwrite w1 | is following\n", "x.txt").rows


def test_the_heading_gives_the_shape() -> None:
    scenario = parse(
        HEAD.replace("rule:", "volumes: 2\nextents: 3\nintents: 1\nrule:") + COLUMNS + "connect||\n", "x.txt"
    )
    assert (scenario.volumes, scenario.extents, scenario.intents) == (2, 3, 1)


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("", 1, "a title is expected"),
        ("A | B\nconnect | \n", 1, "a title is expected"),
        ("Title\npromise P1\n", 2, "one of promise, rule, without, volumes"),
        ("Title\nprose: P1\n", 2, "one of promise, rule, without, volumes"),
        ("Title\nvolumes: two\n", 2, "volumes is a number, not 'two'"),
        ("Title\npromise: P1\n\n" + COLUMNS, 1, "`rule: ...` is expected"),
        (HEAD, 7, "a timeline is expected, which begins with: A | between | B"),
        (f"{HEAD}A | C\n", 8, "the columns A, B and perhaps between are expected, not ['A', 'C']"),
        (HEAD + COLUMNS, 8, "steps are expected below the columns"),
        (f"{HEAD}{COLUMNS}a | b | c | d\n", 9, "3 columns are expected, not 4"),
        (
            f"{HEAD}{COLUMNS}wriet w1 | |\n",
            9,
            "column A has 'wriet w1'; expected is, for example: write {name}",
        ),
        (f"{HEAD}{COLUMNS}link breaks | |\n", 9, "'link breaks' stands between the sites, not in column A"),
        (
            f"{HEAD}{COLUMNS}| power cut |\n",
            9,
            "'power cut' stands in a site's column, not in column between",
        ),
        (f"{HEAD}{COLUMNS}hold fram WRITE | |\n", 9, "column A has 'hold fram WRITE'; expected is"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_what_was_expected(
    text: str, line: int, expected: str
) -> None:
    with pytest.raises(NotAScenario, match=re.escape(f"x.txt, line {line}: ")) as caught:
        parse(text, "x.txt")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            "write w1 | | disk has w2",
            "x.txt, line 9: 'disk has w2' in column B: no host has asked for w2; known are w1",
        ),
        ("write w1; w1 waits | |", "x.txt, line 9: 'w1 waits' in column A: it is answered"),
        ("| | write w1", "x.txt, line 9: 'write w1' in column B: the host is connected at the other site"),
        ("| row is stale |", "x.txt, line 9: 'row is stale' in column between: it is in_sync"),
        (
            "write w1; w1 is answered; read r1; r1 shows nothing | |",
            "'r1 shows nothing' in column A: it shows w1",
        ),
        ("let flush go | |", "'let flush go' in column A: nothing holds it"),
        ("flush is held | |", "'flush is held' in column A: there is none"),
    ],
)
def test_a_step_that_is_not_so_says_where_and_why(steps: str, said: str) -> None:
    with pytest.raises(NotSo) as caught:
        list(play(parse(f"{HEAD}{COLUMNS}{steps}\n", "x.txt")))
    assert said in str(caught.value)


def test_every_phrase_stands_in_the_readme_and_fits_no_other_phrases_pattern() -> None:
    readme = (next(iter(scenarios().values())).parent / "README.md").read_text()
    for phrase in PHRASES:
        assert f"`{phrase.template}`" in readme
        filled = re.sub(r"\{(\w+)\}", lambda word: FILLED[word[1]], phrase.template)
        assert phrase.pattern.fullmatch(filled)
        first = next(each for each in PHRASES if each.pattern.fullmatch(filled))
        assert first is phrase, f"{filled!r} is also {first.template!r}"
