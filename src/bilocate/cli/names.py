"""From what a person typed to an id: ids are taken as they are, names when only one thing has them."""

from bilocate.cli.client import Client, Group, Pair, Volume


def find_volume(client: Client, id_or_name: str) -> Volume:
    """The volume of this id or unambiguous name."""
    return client.find_volume(id_or_name)


def find_pair(client: Client, id_or_name: str) -> Pair:
    """The pair of this id or unambiguous name."""
    return client.find_pair(id_or_name)


def find_group(client: Client, id_or_name: str) -> Group:
    """The group of this id or unambiguous name."""
    return client.find_group(id_or_name)
