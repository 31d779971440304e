"""The published `openstack` command, many times in one process: its imports take a second, its commands a tenth.

Runs in the clients' own environment. Each line that comes in is a command's words, each that goes out its end, as JSON.
"""

import contextlib
import io
import json
import sys

from openstackclient.shell import main  # type: ignore[import-not-found, unused-ignore]


def run(words: list[str]) -> dict[str, object]:
    """One command, as its own process would end."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as end:  # of argparse
            code = end.code
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
