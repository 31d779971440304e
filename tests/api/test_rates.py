"""The bound on requests of one token, and that browsers of other sites are let in by nothing."""

import contextlib
from dataclasses import replace

import pytest
from tests.api.harness import Api, error_of

from bilocate.api.audit import AuditLog
from bilocate.api.codes import Problem
from bilocate.api.gate import Gate
from bilocate.api.rates import TokenRates
from bilocate.config import ApiLimits

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def taken(rates: TokenRates, secret: str, count: int) -> int:
    """How many of so many requests are let through."""
    through = 0
    for _ in range(count):
        with contextlib.suppress(Problem):
            rates.take(secret)
            through += 1
    return through


def test_a_burst_then_a_rate_each_token_for_itself() -> None:
    clock = Clock()
    rates = TokenRates(2.0, 10, clock)
    assert taken(rates, "a", 20) == 10
    assert taken(rates, "b", 20) == 10
    clock.seconds += 3
    assert taken(rates, "a", 20) == 6
    clock.seconds += 1000
    assert taken(rates, "a", 20) == 10
    assert taken(rates, "b", 20) == 10
    assert taken(TokenRates(0, 1, clock), "a", 1000) == 1000
    with pytest.raises(Problem) as caught:
        rates.take("b")
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "1")
    for _ in range(1000):
        rates.take(None)
        rates.take("")


def test_what_is_remembered_is_bounded_and_holds_no_secret() -> None:
    rates = TokenRates(1.0, 5, Clock(), tokens_max=100)
    for index in range(1000):
        rates.take(f"token {index}")
    assert len(rates._buckets) == 100
    assert all(len(key) == 32 and b"token" not in key for key in rates._buckets)


def test_the_default_is_generous() -> None:
    """More than a controller on two cores can answer: it bounds who runs wild, nobody else."""
    assert ApiLimits().token_requests_per_second >= 500
    assert ApiLimits().token_requests_burst >= 2000


async def test_429_for_a_token_that_asks_too_often(api: Api) -> None:
    api.gate._rates = TokenRates(0.1, 3)
    answers = [await api.call("GET", "volumes") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 10
    assert error_of(answers[-1])["name"] == "tooManyRequests"
    other = (await api.log_in()).headers["X-Subject-Token"]
    assert (await api.call("GET", "volumes", token=other)).status_code == 200
    # What must always be answered is: health, and a site's agent, which asks with another secret.
    for path in ("/healthz", "/internal/v1/arbiter/x"):
        response = await api.http.request("GET", path, headers={"X-Auth-Token": api.token})
        assert response.status_code != 429


async def test_cors_is_off(door: Api) -> None:
    """No site's script may ask from a browser: neither the question before is answered, nor the call itself marked."""
    asked = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "X-Auth-Token",
    }
    for path in (f"/v2/{door.project_id}/volumes", "/identity/v3/auth/tokens", "/v3/", "/healthz"):
        for method in ("OPTIONS", "GET"):
            response = await door.http.request(method, path, headers={**asked, "X-Auth-Token": door.token})
            assert not [name for name in response.headers if name.startswith("access-control")]
            if method == "OPTIONS":
                assert response.status_code == 405


async def test_a_nul_in_an_address_is_400(door: Api) -> None:
    """No database takes one, and none is ever asked."""
    for path in ("/v2/%00/volumes", f"/v2/{door.project_id}/volumes?name=%00", "/identity/v3/projects/a%00b"):
        response = await door.http.get(path, headers={"X-Auth-Token": door.token})
        assert response.status_code == 400, path


async def test_settings_reach_the_gate(api: Api) -> None:
    limits = replace(ApiLimits(), token_requests_per_second=1.0, token_requests_burst=1)
    gate = Gate(api.gate._app, limits, api.gate._metrics, AuditLog())
    assert gate._rates._per_second == 1.0
    assert gate._rates._burst == 1
