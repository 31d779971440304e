"""`openstack replication consistency group …`: making, showing and changing groups. What they do is in actions.py."""

import argparse
from typing import Any

from osc_lib.command import command

from bilocate.client import Client
from bilocate.client.waiting import judge_settled
from bilocate.osc.common import (
    Create,
    Delete,
    List,
    Row,
    add_wait_options,
    client_of,
    columns_of,
    rows_of,
)

COLUMNS = {
    "ID": "id",
    "Name": "name",
    "Status": "status",
    "Replication Status": "replication_status",
    "Priority Station": "priority_station",
    "Fault Level": "fault_level",
}
MORE_COLUMNS = {
    "Replication IDs": "replication_ids",
    "Replication Model": "replication_model",
    "Failure Detail": "failure_detail",
    "Created At": "created_at",
    "Updated At": "updated_at",
    "Description": "description",
}


class GroupCommand(command.Command):
    """A command about one group."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Its argument."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("group", metavar="<group>", help="Group (name or ID)")
        return parser


class CreateGroup(Create):
    """Create a group of pairs that fail over together; it is paused until it is synced"""

    noun = "group"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The pairs."""
        parser = super().get_parser(prog_name)
        parser.add_argument("replications", metavar="<replication>", nargs="+", help="Its pairs (name or ID)")
        return parser

    def take_action(self, asked: argparse.Namespace) -> tuple[Row, Row]:
        """Create it, and tell what there is then."""
        client = client_of(self)
        pairs = [client.find_pair(name) for name in asked.replications]
        zone = asked.priority_station or pairs[0].priority_station
        made = client.create_group(asked.name, [pair.id for pair in pairs], zone, asked.description)
        if asked.wait:
            made = client.wait_for_group(made.id, timeout_seconds=asked.timeout)
        return columns_of(made)


class DeleteGroup(Delete):
    """Delete groups that have no pairs"""

    noun = "replication consistency group"

    def calls(self, client: Client) -> Any:
        """Of groups."""
        return client.find_group, client.delete_group, client.wait_group_gone


class ListGroup(List):
    """List groups"""

    def take_action(self, asked: argparse.Namespace) -> tuple[Row, list[Row]]:
        """All that fit."""
        groups = client_of(self).groups(**self.filters(asked))
        return rows_of(groups, COLUMNS | (MORE_COLUMNS if asked.long else {}))


class ShowGroup(GroupCommand, command.ShowOne):
    """Show a group"""

    def take_action(self, asked: argparse.Namespace) -> tuple[Row, Row]:
        """It, as it is now."""
        return columns_of(client_of(self).find_group(asked.group))


class ChangeGroup(GroupCommand):
    """A command that changes a group."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Its options for the end of it."""
        parser = super().get_parser(prog_name)
        add_wait_options(parser)
        return parser

    def change(self, asked: argparse.Namespace, **changes: Any) -> None:
        """Make these changes, and wait for their end where that is asked for."""
        client = client_of(self)
        group_id = client.find_group(asked.group).id
        client.update_group(group_id, changes)
        if asked.wait:
            client.wait_for_group(group_id, judge=judge_settled, timeout_seconds=asked.timeout)


class SetGroup(ChangeGroup):
    """Set group properties"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--name", metavar="<name>", help="New name of the group")
        parser.add_argument("--description", metavar="<description>", help="New description of the group")
        return parser

    def take_action(self, asked: argparse.Namespace) -> None:
        """Set what was given; nothing given changes nothing."""
        given = {"name": asked.name, "description": asked.description}
        self.change(asked, **{word: value for word, value in given.items() if value is not None})


class ChangeMembers(ChangeGroup):
    """A command that changes which pairs are in a group."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The pairs."""
        parser = super().get_parser(prog_name)
        parser.add_argument("replications", metavar="<replication>", nargs="+", help="Pair(s) (name or ID)")
        return parser

    def ids(self, asked: argparse.Namespace) -> list[str]:
        """The pairs' ids."""
        return [client_of(self).find_pair(name).id for name in asked.replications]


class AddReplication(ChangeMembers):
    """Add pairs to a group that is stopped"""

    def take_action(self, asked: argparse.Namespace) -> None:
        """Add them."""
        self.change(asked, add_replication_ids=self.ids(asked))


class RemoveReplication(ChangeMembers):
    """Remove pairs from a group that is stopped; they stay pairs"""

    def take_action(self, asked: argparse.Namespace) -> None:
        """Remove them."""
        self.change(asked, remove_replication_ids=self.ids(asked))
