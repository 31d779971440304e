"""What `up` writes: complete, private, understood by the processes, and kept."""

import socket
from pathlib import Path

import pytest

from bilocate.cli.errors import NotFound, UsageProblem
from bilocate.cli.installation import api_address, configure, control_of
from bilocate.cli.layout import Layout
from bilocate.cli.supervise import daemons
from bilocate.cli.up import site_names
from bilocate.config import control_token, load_controller_config, load_site_config, read_key


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.of(tmp_path)


def test_everything_fits_together(layout: Layout) -> None:
    configure(layout, None, None)
    controller = load_controller_config(layout.config("controller"))
    assert layout.site_names() == ["az1", "az2"] == sorted(controller.sites)
    key = read_key(controller.key_file)
    for name, told in controller.sites.items():
        site = load_site_config(layout.config(name))
        assert site.site == name
        assert read_key(site.key_file) == key
        assert site.controller_urls == (api_address(layout),)
        assert told.control_url == f"http://{site.control.host}:{site.control.port}"
        assert told.link_target() == (site.link.host, site.link.port)
        assert (told.nbd_host, told.nbd_port) == (site.nbd.host, site.nbd.port)
        assert control_of(layout, name).headers == {"Authorization": f"Bearer {control_token(key)}"}
    assert [daemon.name for daemon in daemons(layout)] == ["controller", "az1", "az2"]


def test_a_site_may_have_several_agents(layout: Layout) -> None:
    configure(layout, None, ["left", "right"], 3)
    controller = load_controller_config(layout.config("controller"))
    assert layout.site_names() == sorted(controller.sites)
    assert controller.zones.names == ["left", "right"]
    assert controller.zones.sites("right") == ["right-1", "right-2", "right-3"]
    ports = {(told.nbd_port, told.link_address, told.control_url) for told in controller.sites.values()}
    assert len(ports) == 6
    configure(layout, None, ["right", "left"], 3)
    with pytest.raises(UsageProblem, match="are kept: leave --agents out"):
        configure(layout, None, None, 2)


def test_agents_of_different_sites_have_different_names(layout: Layout) -> None:
    for zones in (["a", "a-1"], ["a-1", "a"]):
        with pytest.raises(UsageProblem, match="would have the same names"):
            configure(layout, None, zones, 2)
    assert not layout.config("controller").exists()


def test_all_ports_differ(layout: Layout) -> None:
    configure(layout, None, ["left", "middle", "right"])
    ports = [load_controller_config(layout.config("controller")).api.port]
    for name in layout.site_names():
        site = load_site_config(layout.config(name))
        ports += [site.nbd.port, site.link.port, site.control.port]
    assert len(set(ports)) == len(ports) == 10


def test_secrets_are_private(layout: Layout) -> None:
    configure(layout, None, None)
    for path in (layout.key_file, layout.config("controller"), layout.config("az1")):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_time_changes_nothing(layout: Layout) -> None:
    configure(layout, None, None)
    before = {path: path.read_bytes() for path in layout.root.iterdir() if path.is_file()}
    configure(layout, None, ["az2", "az1"])
    assert before == {path: path.read_bytes() for path in layout.root.iterdir() if path.is_file()}
    with pytest.raises(UsageProblem, match="are kept"):
        configure(layout, None, ["az1", "az3"])
    with pytest.raises(UsageProblem, match="is kept"):
        configure(layout, 1, None)


def test_an_interrupted_first_time_is_made_good(layout: Layout) -> None:
    configure(layout, None, None)
    layout.config("controller").unlink()
    configure(layout, None, None)
    assert read_key(load_site_config(layout.config("az1")).key_file)
    assert load_site_config(layout.config("az2")).controller_urls == (api_address(layout),)


def test_the_port_asked_for_is_taken_or_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(UsageProblem, match="in use"):
            configure(Layout.of(tmp_path), port, None)
    configure(Layout.of(tmp_path), port, None)
    assert api_address(Layout.of(tmp_path)) == f"http://127.0.0.1:{port}"


def test_a_directory_with_quotes_in_its_name(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / 'a "b" \\ c ä')
    layout.root.mkdir()
    configure(layout, None, None)
    assert load_site_config(layout.config("az1")).state_dir == layout.data("az1")


def test_a_socket_path_too_long_for_the_kernel_is_left_out(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / ("x" * 120))
    layout.root.mkdir()
    configure(layout, None, None)
    assert load_site_config(layout.config("az1")).nbd.unix_socket == ""


@pytest.mark.parametrize(
    "given", ["az1", "az1,az1", "a,b,c", "az1,", "controller,az2", "../x,y", "a b,c", "-a,b"]
)
def test_names_that_cant_be_sites_are_refused(given: str) -> None:
    with pytest.raises(UsageProblem):
        site_names(given)


def test_a_directory_without_an_installation_is_told_apart(layout: Layout) -> None:
    with pytest.raises(NotFound, match="bilocate up"):
        layout.require()
    configure(layout, None, None)
    with pytest.raises(NotFound, match="az1, az2"):
        layout.require_site("az3")
