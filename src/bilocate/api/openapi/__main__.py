"""Write the document anew: python -m bilocate.api.openapi > docs/openapi.json"""

import sys
from pathlib import Path

from bilocate.api.app import build_routes
from bilocate.api.context import Parts
from bilocate.api.identity.passwords import Passwords
from bilocate.api.metrics import Metrics
from bilocate.api.openapi.document import document, spelled
from bilocate.config import ControllerConfig
from bilocate.operations.service import Operations
from bilocate.operations.settings import settings_of
from bilocate.store.database import Database


def main() -> None:
    """Of the routes as a controller makes them. Nothing is opened and nobody is asked."""
    config = ControllerConfig(Path("key"), Path("openrc"), "sqlite+aiosqlite:///never-opened", sites={})
    database = Database(config.database_url)
    operations = Operations(database, settings_of(config, control_token=""))
    parts = Parts(config, database, operations, control_token="", public_url="")
    routes = build_routes(parts, Passwords(config.identity), Metrics(config.controller_name))
    sys.stdout.write(spelled(document(routes)))


if __name__ == "__main__":
    main()
