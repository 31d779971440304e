"""What the commands share: the client, options, columns, and how things are made, listed and deleted."""

import argparse
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from osc_lib import exceptions
from osc_lib.cli import format_columns
from osc_lib.command import command

from bilocate.client import Client, ClientError
from bilocate.client.resources import Named
from bilocate.client.waiting import DEFAULT_TIMEOUT_SECONDS

Row = tuple[Any, ...]


def client_of(asked: command.Command) -> Client:
    """The client that the plugin has made."""
    found: Client = asked.app.client_manager.replication
    return found


# --- options ---


def add_wait_options(parser: argparse.ArgumentParser) -> None:
    """--wait and --timeout, which every command has that begins something."""
    parser.add_argument("--wait", action="store_true", help="Wait until it is done")
    parser.add_argument(
        "--timeout",
        metavar="<seconds>",
        type=float,
        default=DEFAULT_TIMEOUT_SECONDS,
        help=f"Longest time to wait with --wait (default: {DEFAULT_TIMEOUT_SECONDS:g})",
    )


# --- output ---


def columns_of(thing: Mapping[str, Any]) -> tuple[Row, Row]:
    """One thing, in the API's own words, in the order of the alphabet as OpenStack's commands have it."""
    shown = {word: _value(word, value) for word, value in thing.items() if word != "links"}
    names = sorted(shown)
    return tuple(names), tuple(shown[name] for name in names)


def rows_of(things: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> tuple[Row, list[Row]]:
    """Many things; `columns`: the API's word by what stands above it."""
    rows = [tuple(_value(word, thing.get(word)) for word in columns.values()) for thing in things]
    return tuple(columns), rows


def _value(word: str, value: Any) -> Any:
    """Lists and objects, which the API has as text in places, as what they are."""
    if word == "volume_ids" and value is not None:
        return format_columns.ListColumn(value.split(","))
    if word == "record_metadata" and value is not None:
        return format_columns.DictColumn(json.loads(value))
    if isinstance(value, list):
        return format_columns.ListColumn(value)
    return value


# --- commands that pairs and groups have alike ---


class Delete(command.Command):
    """A command that deletes several things, as far as it goes."""

    noun: ClassVar[str]

    @abstractmethod
    def calls(
        self, client: Client
    ) -> tuple[Callable[[str], Named], Callable[[str], None], Callable[..., None]]:
        """How one is found, deleted, and waited for."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        add_wait_options(parser)
        parser.add_argument("names", metavar=f"<{self.noun.split()[-1]}>", nargs="+", help="Name(s) or ID(s)")
        return parser

    def take_action(self, asked: argparse.Namespace) -> None:
        """Delete them; what fails for one keeps nothing from the others.

        :raises CommandError: it failed for some.
        """
        find, delete, wait_gone = self.calls(client_of(self))
        failed = 0
        for name in asked.names:
            try:
                found = find(name)
                delete(found.id)
                if asked.wait:
                    wait_gone(found.id, asked.timeout)
            except ClientError as error:
                failed += 1
                self.log.error("%s: %s", name, error)
        if failed:
            raise exceptions.CommandError(
                f"{failed} of {len(asked.names)} {self.noun}s could not be deleted."
            )


class Create(command.ShowOne):
    """A command that makes something that is replicated."""

    noun: ClassVar[str]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("--name", metavar="<name>", default="", help=f"Name of the {self.noun}")
        parser.add_argument(
            "--description", metavar="<description>", default="", help=f"Description of the {self.noun}"
        )
        parser.add_argument(
            "--priority-station",
            metavar="<availability-zone>",
            help="Availability zone of production (default: that of the first one named)",
        )
        add_wait_options(parser)
        return parser


class List(command.Lister):
    """A command that lists what fits."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("--long", action="store_true", help="List additional fields in output")
        parser.add_argument("--name", metavar="<name>", help="Filter by name")
        parser.add_argument("--status", metavar="<status>", help="Filter by status")
        parser.add_argument(
            "--priority-station", metavar="<availability-zone>", help="Filter by the zone of production"
        )
        return parser

    def filters(self, asked: argparse.Namespace) -> dict[str, str]:
        """Those that were given, in the API's words."""
        words = ("name", "status", "priority_station")
        return {word: getattr(asked, word) for word in words if getattr(asked, word)}
