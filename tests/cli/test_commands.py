"""The nouns: what they call, what they print, and how they end."""

import json

import pytest
from tests.cli.conftest import Run
from tests.cli.fake_api import GROUPS, PROJECT, FakeApi

DONE, FAILED, USAGE, CONFLICT, NOT_FOUND, OUT_OF_REACH = range(6)


def last_call(api: FakeApi, method: str) -> tuple[str, object]:
    return next((path, body) for verb, path, body in reversed(api.calls) if verb == method)


def test_volume_create_asks_for_what_was_said(api: FakeApi, run: Run) -> None:
    result = run("volume", "create", "orders", "--size", "3", "--site", "az2", "--wait", "--json")
    assert result.exit_code == DONE, result.output
    volume = json.loads(result.stdout)
    assert (volume["name"], volume["size"], volume["availability_zone"]) == ("orders", 3, "az2")


def test_volume_create_asks_for_a_copy(api: FakeApi, run: Run) -> None:
    source = api.add_volume("orders", "az2", 3)
    result = run("volume", "create", "copy", "--source", "orders", "--wait", "--json")
    assert result.exit_code == DONE, result.output
    assert last_call(api, "POST")[1] == {
        "volume": {"name": "copy", "source_volid": source["id"], "description": ""}
    }
    assert json.loads(result.stdout)["size"] == 3
    assert run("volume", "create", "copy", "--source", "orders", "--size", "5").exit_code == DONE
    assert run("volume", "create", "copy", "--source", "nobody").exit_code == NOT_FOUND


@pytest.mark.parametrize(
    "words", [("--size", "1"), ("--site", "az1"), ("--source", "orders", "--site", "az1"), ()]
)
def test_volume_create_needs_a_size_and_a_site_or_a_source(
    api: FakeApi, run: Run, words: tuple[str, ...]
) -> None:
    api.add_volume("orders")
    assert run("volume", "create", "x", *words).exit_code == USAGE
    assert len(api.volumes) == 1


def test_volume_extend_asks_for_the_new_size(api: FakeApi, run: Run) -> None:
    volume = api.add_volume("orders")
    assert run("volume", "extend", "orders", "--size", "3", "--wait").exit_code == DONE
    path, body = last_call(api, "POST")
    assert path.endswith(f"/volumes/{volume['id']}/action")
    assert body == {"os-extend": {"new_size": 3}}


def test_lists_show_ids_and_names(api: FakeApi, run: Run) -> None:
    things = {
        "volume": api.add_volume("v1"),
        "pair": api.add_pair("p1"),
        "group": api.add_group("g1"),
    }
    for noun, thing in things.items():
        result = run(noun, "list")
        assert result.exit_code == DONE, result.output
        assert thing["id"] in result.stdout
        assert thing["name"] in result.stdout
        assert json.loads(run(noun, "list", "--json").stdout) == [thing]


def test_a_name_is_as_good_as_an_id(api: FakeApi, run: Run) -> None:
    volume = api.add_volume("orders")
    for words in ("orders", volume["id"]):
        assert json.loads(run("volume", "show", words, "--json").stdout)["id"] == volume["id"]


def test_an_ambiguous_name_is_refused_with_the_ids(api: FakeApi, run: Run) -> None:
    ids = [api.add_volume("twice")["id"] for _ in range(2)]
    result = run("volume", "delete", "twice")
    assert result.exit_code == USAGE
    assert all(volume_id in result.stderr for volume_id in ids)
    assert len(api.volumes) == 2


def test_an_id_shaped_name_is_found(api: FakeApi, run: Run) -> None:
    name = "11111111-2222-3333-4444-555555555555"
    volume = api.add_volume(name)
    assert json.loads(run("volume", "show", name, "--json").stdout)["id"] == volume["id"]


def test_what_is_not_there_is_exit_code_4(api: FakeApi, run: Run) -> None:
    result = run("group", "show", "nothing")
    assert result.exit_code == NOT_FOUND
    assert "bilocate group list" in result.stderr


def test_connect_prints_the_address_alone(api: FakeApi, run: Run) -> None:
    volume = api.add_volume("orders")
    result = run("volume", "connect", "orders", "--host", "shop-1")
    assert result.stdout == f"nbd://127.0.0.1:10809/{volume['id']}-secret\n"
    path, body = last_call(api, "POST")
    assert body == {"os-initialize_connection": {"connector": {"host": "shop-1"}}}
    assert run("volume", "disconnect", "orders", "--host", "shop-1").exit_code == DONE
    assert last_call(api, "POST") == (path, {"os-terminate_connection": {"connector": {"host": "shop-1"}}})


def test_pair_create_takes_names_and_the_first_volumes_site(api: FakeApi, run: Run) -> None:
    one, two = api.add_volume("one", "az2"), api.add_volume("two", "az1")
    assert run("pair", "create", "both", "one", "two").exit_code == DONE
    _, body = last_call(api, "POST")
    assert body == {
        "replication": {
            "name": "both",
            "description": "",
            "volume_ids": [one["id"], two["id"]],
            "priority_station": "az2",
            "replication_model": "hypermetro",
        }
    }
    assert run("pair", "create", "three", "one").exit_code == USAGE


def test_group_create_and_update(api: FakeApi, run: Run) -> None:
    pair, other = api.add_pair("p1"), api.add_pair("p2")
    assert run("group", "create", "shop", "p1", "--wait").exit_code == DONE
    assert run("group", "update", "shop", "--add", "p2", "--remove", "p1", "--wait").exit_code == DONE
    _, body = last_call(api, "PUT")
    changes = {"add_replication_ids": [other["id"]], "remove_replication_ids": [pair["id"]]}
    assert body == {"replication_consistency_group": changes}
    assert run("group", "update", "shop").exit_code == USAGE


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["sync"], None),
        (["sync", "--trust-primary"], {"trust_primary": True}),
        (["stop"], None),
        (["failover"], None),
        (["failover", "--allow-data-loss", "--yes"], {"allow_data_loss": True}),
        (
            ["failover", "--allow-data-loss", "--allow-mixed-moments", "--yes"],
            {"allow_data_loss": True, "allow_mixed_moments": True},
        ),
        (["reverse"], None),
        (["reverse", "--force"], {"force": True}),
        (["reprotect"], None),
        (["reprotect", "--allow-data-loss", "-y"], {"allow_data_loss": True}),
    ],
)
def test_each_verb_sends_its_action(api: FakeApi, run: Run, words: list[str], value: object) -> None:
    group = api.add_group("shop")
    result = run("group", words[0], "shop", *words[1:])
    assert result.exit_code == DONE, result.output
    path, body = last_call(api, "POST")
    assert path == f"/v2/{PROJECT}/{GROUPS}/{group['id']}/action"
    assert body == {f"os-{words[0]}-replication-consistency-group": value}


@pytest.mark.parametrize("verb", ["failover", "reprotect"])
def test_losing_data_is_asked_about(api: FakeApi, run: Run, verb: str) -> None:
    api.add_group("shop")
    assert run("group", verb, "shop", "--allow-data-loss", stdin="n\n").exit_code == FAILED
    assert not any(path.endswith("/action") for _, path, _ in api.calls)
    assert run("group", verb, "shop", "--allow-data-loss", stdin="y\n").exit_code == DONE


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [
        (400, USAGE),
        (403, FAILED),
        (404, NOT_FOUND),
        (409, CONFLICT),
        (500, FAILED),
        (501, FAILED),
        (502, OUT_OF_REACH),
        (503, OUT_OF_REACH),
        (504, OUT_OF_REACH),
    ],
)
def test_refusals_show_the_apis_sentence_and_have_their_exit_code(
    api: FakeApi, run: Run, status: int, exit_code: int
) -> None:
    api.add_group("shop")
    api.refuse("POST", "/action", status, "The group is resting. Wake it first.")
    result = run("group", "failover", "shop")
    assert result.exit_code == exit_code
    assert "The group is resting. Wake it first." in result.stderr
    assert result.stdout == ""


def test_an_opt_in_that_a_refusal_names_is_told_as_an_option(api: FakeApi, run: Run) -> None:
    api.add_group("shop")
    api.refuse("POST", "/action", 409, 'Hosts are attached: repeat with {"force": true}.')
    assert "(here: --force)" in run("group", "reverse", "shop").stderr
    api.refuse("POST", "/action", 409, 'Repeat with {"allow_mixed_moments": true} too.')
    refused = run("group", "failover", "shop", "--allow-data-loss", "--yes")
    assert "(here: --allow-mixed-moments)" in refused.stderr


def test_no_controller_is_exit_code_5(run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_AUTH_URL", "http://127.0.0.1:1/identity/v3")
    result = run("volume", "list")
    assert result.exit_code == OUT_OF_REACH
    assert "bilocate up" in result.stderr


def test_missing_credentials_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_ID", "OS_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)
    result = run("volume", "list")
    assert result.exit_code == USAGE
    assert "OS_PASSWORD" in result.stderr
    assert "--state-dir" in result.stderr


def test_a_wrong_password_is_told_and_never_shown(
    api: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_PASSWORD", "wr0ng")
    result = run("volume", "list")
    assert result.exit_code == FAILED
    assert "OS_PASSWORD" in result.stderr
    assert "wr0ng" not in result.output


def test_help_tells_the_exit_codes(run: Run) -> None:
    assert "5 the controller or a site is out of reach" in " ".join(run("--help").stdout.split())
    assert run("nonsense").exit_code == USAGE
    assert run("volume", "create", "x").exit_code == USAGE


def test_group_extend_grows_all_pairs_or_those_that_are_named(api: FakeApi, run: Run) -> None:
    pairs = [api.add_pair("p1"), api.add_pair("p2")]
    group = api.add_group("orders", replication_ids=[pair["id"] for pair in pairs])
    for words, asked in ((("--pair", "p2"), pairs[1:]), ((), pairs)):
        result = run("group", "extend", "orders", "--size", "5", *words)
        assert result.exit_code == DONE, result.output
        path, body = last_call(api, "POST")
        assert path.endswith(f"{GROUPS}/{group['id']}/action")
        sizes = [{"id": pair["id"], "new_size": 5} for pair in asked]
        assert body == {"os-extend-replication-volumes": {"replications": sizes}}
    api.add_group("empty")
    assert run("group", "extend", "empty", "--size", "5").exit_code == USAGE


def test_volume_adopt_and_give_back_ask_for_what_was_said(api: FakeApi, run: Run) -> None:
    result = run(
        "volume", "adopt", "orders", "--site", "az2", "--path", "/dev/disk/by-id/d1", "--wait", "--json"
    )
    assert result.exit_code == DONE, result.output
    path, body = last_call(api, "POST")
    assert path.endswith("/os-volume-manage")
    asked = {"name": "orders", "host": "az2", "ref": {"source-name": "/dev/disk/by-id/d1"}, "description": ""}
    assert body == {"volume": asked}
    volume = json.loads(result.stdout)
    assert run("volume", "give-back", "orders").exit_code == DONE
    path, body = last_call(api, "POST")
    assert path.endswith(f"/volumes/{volume['id']}/action")
    assert body == {"os-unmanage": None}
