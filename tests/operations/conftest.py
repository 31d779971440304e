"""Databases for the tests of this folder, and silence: every kill and failure here is meant."""

from tests.databases import database_url, postgresql_server, postgresql_url, sqlite_url
from tests.quiet import quiet

__all__ = ["database_url", "postgresql_server", "postgresql_url", "quiet", "sqlite_url"]
