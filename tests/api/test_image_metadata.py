"""What is known of the image on a volume, over HTTP."""

from typing import Any

import pytest
from tests.api.conftest import World
from tests.api.harness import Api
from tests.api.test_volume_actions import act

pytestmark = pytest.mark.anyio


async def of_image(api: Api, volume_id: str) -> dict[str, str] | None:
    volume = (await api.call("GET", f"volumes/{volume_id}")).json()["volume"]
    found: dict[str, str] | None = volume.get("volume_image_metadata")
    return found


async def test_what_is_known_of_an_image_is_kept_with_the_volume(world: World) -> None:
    api = world.api
    volume_id = (await api.volume("az1"))["id"]
    assert await of_image(api, volume_id) is None

    async def told(action: str, value: Any) -> Any:
        response = await act(api, volume_id, f"os-{action}_image_metadata", value)
        assert response.status_code == 200, response.text
        return response.json()

    assert await told("show", None) == {"metadata": {}}
    assert await told("set", {"metadata": {"os": "linux"}}) == {"metadata": {"os": "linux"}}
    both = {"os": "linux", "größe": "1"}
    assert await told("set", {"metadata": {"größe": "1"}}) == {"metadata": both}
    assert await told("show", None) == {"metadata": both}
    assert await of_image(api, volume_id) == both
    (listed,) = (await api.call("GET", "volumes/detail")).json()["volumes"]
    assert listed["volume_image_metadata"] == both
    for key in both:
        assert await told("unset", {"key": key}) == {}
    assert await of_image(api, volume_id) is None

    many = {str(number): "x" for number in range(128)}
    await told("set", {"metadata": many})
    one_more = await act(api, volume_id, "os-set_image_metadata", {"metadata": {"one": "more"}})
    assert one_more.status_code == 400
    assert await told("show", None) == {"metadata": many}
