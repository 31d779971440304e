"""Copies of a world of objects, closures and all: what makes it possible to take two ways from one state.

pickle does the walking. It is told how to copy what it would refuse: functions with closures. What never
changes is shared. Sets and dictionaries whose keys are ids of requests get the ids of the copies.
"""

import io
import pickle
import types
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tests.search.bounds import Bounds
from tests.search.host import Host
from tests.search.site import Site
from tests.search.world import BETWEEN, World

from bilocate.domain.arbiter import Ask, Row
from bilocate.replication.frames import Hello
from bilocate.replication.limits import Limits
from bilocate.replication.requests import Request
from bilocate.replication.wanted import Member, Wanted

_SHARED_TYPES = (Limits, Wanted, Member, Hello, Bounds, Row, Ask)
_shared: list[Any] = []
_shared_at: dict[Any, int] = {}
_present: dict[str, World] = {}  # the one that is being loaded
_codes: list[tuple[types.CodeType, dict[str, Any], tuple[Any, ...] | None]] = []
_code_at: dict[types.CodeType, int] = {}


def _get_world() -> Any:
    return _present["world"]


def _get_host() -> Any:
    return _present["world"].host


def _get_shared(index: int) -> Any:
    return _shared[index]


def _share(obj: Any) -> tuple[Callable[[int], Any], tuple[int]]:
    key = (type(obj), obj)  # numbers of different enums are equal
    index = _shared_at.get(key)
    if index is None:
        index = _shared_at[key] = len(_shared)
        _shared.append(obj)
    return _get_shared, (index,)


def _make_function(index: int, cells: tuple[types.CellType, ...]) -> types.FunctionType:
    code, names, defaults = _codes[index]
    return types.FunctionType(code, names, code.co_name, defaults, cells)


def _make_cell() -> types.CellType:
    return types.CellType()


def _fill_cell(cell: types.CellType, content: tuple[Any, ...]) -> None:
    if content:
        cell.cell_contents = content[0]


def _fill_cell_state(cell: types.CellType, content: Any) -> None:
    _fill_cell(cell, content)


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, requests: list[tuple[int, Request]]) -> None:
        super().__init__(file, 5)
        self._requests = requests

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is Request:
            self._requests.append((id(obj), obj))
        elif kind is types.FunctionType:
            if "<" in obj.__qualname__:
                return self._function(obj)
        elif kind is types.CellType:
            try:
                content: tuple[Any, ...] = (obj.cell_contents,)
            except ValueError:
                content = ()
            return _make_cell, (), content, None, None, _fill_cell_state
        elif kind is World:
            return _get_world, ()
        elif kind is Host:
            return _get_host, ()
        elif kind in _SHARED_TYPES or isinstance(obj, Enum):
            return _share(obj)
        return NotImplemented

    def _function(self, function: types.FunctionType) -> Any:
        code = function.__code__
        index = _code_at.get(code)
        if index is None:
            index = _code_at[code] = len(_codes)
            assert function.__kwdefaults__ is None
            _codes.append((code, function.__globals__, function.__defaults__))
        return _make_function, (index, function.__closure__ or ())


@dataclass(frozen=True, slots=True)
class Saved:
    """A state: what is between the sites, and each site. Sites that an event left alone are shared."""

    between: bytes
    sites: dict[str, bytes]


def save(world: World, before: Saved | None = None) -> Saved:
    """The world's state, to be loaded in this process. `before`: what it came from, by an event that told `touched`."""
    file = io.BytesIO()
    _Pickler(file, []).dump([getattr(world, name) for name in BETWEEN])
    sites = {
        name: _save_site(site) if before is None or name in world.touched else before.sites[name]
        for name, site in world.sites.items()
    }
    return Saved(file.getvalue(), sites)


def load(world: World, saved: Saved) -> None:
    """The world becomes what was saved: all that is between the sites, and the sites that were touched since."""
    _present["world"] = world
    for name, value in zip(BETWEEN, pickle.loads(saved.between), strict=True):
        setattr(world, name, value)
    for name in world.touched:
        site, requests = pickle.loads(saved.sites[name])
        if requests:
            site.requests_moved({old: id(request) for old, request in requests})
        world.sites[name] = site
    world.touched.clear()


def load_all(world: World, saved: Saved) -> None:
    """The same, whatever it was before."""
    world.touched.update(world.sites)
    load(world, saved)


def _save_site(site: Site) -> bytes:
    file = io.BytesIO()
    requests: list[tuple[int, Request]] = []
    _Pickler(file, requests).dump((site, requests))
    return file.getvalue()
