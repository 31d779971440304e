"""A program that commits to a SQLite database, one row after the other, and says each commit that was done.

Run as a script with the database's path; the journal mode is the second argument.
"""

import sqlite3
import sys


def main() -> None:
    """Until a commit fails."""
    db = sqlite3.connect(sys.argv[1], isolation_level=None)
    db.execute(f"PRAGMA journal_mode = {sys.argv[2]}")
    # FULL would not be enough with a rollback journal: a commit is the removal of a file then, and its folder must
    # be synced too before the commit may be called done.
    db.execute("PRAGMA synchronous = EXTRA")
    db.execute("CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    number = 0
    while True:
        number += 1
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO entries VALUES (?, ?)", (number, f"entry {number} " * 50))
        db.execute("COMMIT")
        print(number, flush=True)


if __name__ == "__main__":
    main()
