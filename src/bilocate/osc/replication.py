"""`openstack replication create`, `delete`, `list`, `show`: pairs of volumes."""

import argparse
from typing import Any

from osc_lib.command import command

from bilocate.client import Client
from bilocate.osc.common import Create, Delete, List, Row, client_of, columns_of, rows_of

COLUMNS = {
    "ID": "id",
    "Name": "name",
    "Status": "status",
    "Replication Status": "replication_status",
    "Progress": "progress",
    "Priority Station": "priority_station",
    "Consistency Group": "replication_consistency_group_id",
}
MORE_COLUMNS = {
    "Volume IDs": "volume_ids",
    "Replication Model": "replication_model",
    "Fault Level": "fault_level",
    "Failure Detail": "failure_detail",
    "Created At": "created_at",
    "Updated At": "updated_at",
    "Description": "description",
}


class CreateReplication(Create):
    """Pair two volumes of two availability zones, which nothing is copied of before their group is synced"""

    noun = "pair"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The volumes."""
        parser = super().get_parser(prog_name)
        parser.add_argument("volumes", metavar="<volume>", nargs=2, help="The two volumes (name or ID)")
        return parser

    def take_action(self, asked: argparse.Namespace) -> tuple[Row, Row]:
        """Create it, and tell what there is then."""
        client = client_of(self)
        volumes = [client.find_volume(name) for name in asked.volumes]
        zone = asked.priority_station or volumes[0].availability_zone
        made = client.create_pair(asked.name, [volume.id for volume in volumes], zone, asked.description)
        if asked.wait:
            made = client.wait_for_pair(made.id, timeout_seconds=asked.timeout)
        return columns_of(made)


class DeleteReplication(Delete):
    """End pairs that are in no group; their volumes stay, with their data"""

    noun = "replication"

    def calls(self, client: Client) -> Any:
        """Of pairs."""
        return client.find_pair, client.delete_pair, client.wait_pair_gone


class ListReplication(List):
    """List pairs"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The filters that only pairs have."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--consistency-group", metavar="<group>", help="Filter by group (name or ID)")
        parser.add_argument("--volume", metavar="<volume>", help="Filter by one of the volumes (name or ID)")
        return parser

    def take_action(self, asked: argparse.Namespace) -> tuple[Row, list[Row]]:
        """All that fit."""
        client = client_of(self)
        filters = self.filters(asked)
        if asked.consistency_group:
            filters["replication_consistency_group_id"] = client.find_group(asked.consistency_group).id
        if asked.volume:
            filters["volume_id"] = client.find_volume(asked.volume).id
        return rows_of(client.pairs(**filters), COLUMNS | (MORE_COLUMNS if asked.long else {}))


class ShowReplication(command.ShowOne):
    """Show a pair"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("replication", metavar="<replication>", help="Pair to show (name or ID)")
        return parser

    def take_action(self, asked: argparse.Namespace) -> tuple[Row, Row]:
        """It, as it is now."""
        return columns_of(client_of(self).find_pair(asked.replication))
