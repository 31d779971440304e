"""How answers look: tables for people, JSON for machines; nothing else prints."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

GOOD, BUSY, BAD = "green", "yellow", "bold red"
_STYLES = {
    "active": GOOD,
    "available": GOOD,
    "in-use": GOOD,
    "active-stopped": BUSY,
    "inactive": BUSY,
    "failovered": BUSY,
    "copying": BUSY,
}


def out() -> Console:
    """The console for answers, made anew so that a redirected stdout is honoured."""
    return Console(highlight=False, soft_wrap=True)


def err() -> Console:
    """The console for everything that is not the answer: progress, hints, errors."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """One JSON value on stdout, without colours or wrapping."""
    print(json.dumps(value, indent=2, sort_keys=True, default=dict))  # what the client tells is a mapping


def print_one(item: Mapping[str, Any], as_json: bool) -> None:
    """One thing, for people or for machines."""
    if as_json:
        print_json(item)
    else:
        print_fields(item)


def print_many(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Many things, for people or for machines, who get all fields."""
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, columns)


def print_fields(item: Mapping[str, Any]) -> None:
    """One thing, a line per field."""
    shown = {name: value for name, value in item.items() if name != "links"}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        out().print(Text(f"{name:{width}}  ", style="dim") + coloured(value))


def print_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Many things, a line each."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(coloured(row.get(column)) for column in columns))
    out().print(table)


def coloured(value: Any) -> Text:
    """A value as text; states a person looks for have a colour."""
    text = _plain(value)
    style = BAD if "error" in text and " " not in text else _STYLES.get(text, "")
    return Text(text, style=style)


def say(message: str, style: str = "") -> None:
    """A sentence for the person at the terminal, on stderr, so that stdout stays the answer."""
    err().print(Text(message, style=style))


def size_text(size_bytes: float) -> str:
    """Bytes for people: 1.5 GiB."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _plain(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (dict, list)):
        return json.dumps(value) if value else "-"
    return str(value)
