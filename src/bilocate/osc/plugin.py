"""What the OpenStack command line asks of a plugin: its name, its options, and a client."""

import argparse
import os
from typing import Any

API_NAME = "replication"
API_VERSION_OPTION = "os_replication_api_version"
DEFAULT_API_VERSION = "2"
API_VERSIONS = ("2",)


def make_client(instance: Any) -> Any:
    """A bilocate.client.Client over the session of `instance`, OpenStack's client manager."""
    # Not at the top: every run of `openstack` imports this module, whatever it is to do.
    from bilocate.client import Client, SessionAccess

    interface = instance.interface or "public"
    return Client(SessionAccess(instance.session, instance.region_name or None, interface))


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the plugin's global options."""
    parser.add_argument(
        "--os-replication-api-version",
        metavar="<replication-api-version>",
        default=os.environ.get("OS_REPLICATION_API_VERSION") or DEFAULT_API_VERSION,
        help=f"Replication API version, default={DEFAULT_API_VERSION} (Env: OS_REPLICATION_API_VERSION)",
    )
    return parser
