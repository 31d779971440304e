"""The verbs, one module each; they are found by themselves. Modules that begin with "_" are shared parts."""

import importlib
import inspect
import pkgutil
from functools import cache
from typing import Any

from bilocate.operations.verb import Verb


@cache
def all_verbs() -> dict[str, Verb[Any]]:
    """Every verb by its name."""
    found: dict[str, Verb[Any]] = {}
    for module_info in pkgutil.iter_modules(__path__):
        if module_info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Verb) and not inspect.isabstract(kind) and kind.__module__ == module.__name__:
                verb: Verb[Any] = kind()
                found[verb.name] = verb
    return found


def verb_named(name: str) -> Verb[Any]:
    """The verb of that name; KeyError: there is none."""
    return all_verbs()[name]
