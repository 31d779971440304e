"""What was taken once although it could not be meant. Found by schemathesis, which goes on looking."""

import pytest
from tests.api.harness import PAIRS, Api, error_of

pytestmark = pytest.mark.anyio


async def test_what_would_not_be_looked_at_is_refused_all_the_same(api: Api) -> None:
    """Half a filter that lists everything, texts that another word comes before, and a parent that is none."""
    nothing = await api.call("GET", f"{PAIRS}?volume_id=")
    assert (nothing.status_code, error_of(nothing)["error_code"]) == (400, "EVS.1002")
    volume = {"size": 1, "name": "a", "display_name": "\0", "description": "b", "display_description": "\0"}
    assert (await api.call("POST", "volumes", {"volume": volume})).status_code == 400
    body = {"project": {"name": "a", "parent_id": "elsewhere"}}
    moved = await api.http.patch(
        f"/identity/v3/projects/{api.project_id}", json=body, headers={"X-Auth-Token": api.token}
    )
    assert moved.status_code == 400
