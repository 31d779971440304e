"""`openstack replication consistency group sync`, `stop`, `failover`, `reverse`, `reprotect`, `extend`."""

import argparse
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from osc_lib import exceptions

from bilocate.client import Conflict, Group
from bilocate.client.waiting import Outcome, judge_failed_over, judge_in_step, judge_reversed, judge_stopped
from bilocate.osc.common import add_wait_options, client_of
from bilocate.osc.consistency_group import GroupCommand

Judge = Callable[[Group], Outcome]


def _option(word: str) -> str:
    return f"--{word.replace('_', '-')}"


class Action(GroupCommand):
    """A verb of the API: `verb`, its opt-ins, and when it is done."""

    verb: ClassVar[str]
    opt_ins: ClassVar[dict[str, str]] = {}  # the API's word for each, and what it means

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser = super().get_parser(prog_name)
        for word, meaning in self.opt_ins.items():
            parser.add_argument(_option(word), action="store_true", help=meaning)
        add_wait_options(parser)
        return parser

    def take_action(self, asked: argparse.Namespace) -> None:
        """Start it, and wait for its end where that is asked for."""
        client = client_of(self)
        group = client.find_group(asked.group)
        insisted = {word: True for word in self.opt_ins if getattr(asked, word)}
        try:
            client.act(group.id, self.verb, insisted or None)
        except Conflict as error:
            raise self._with_option(error) from error
        if asked.wait:
            client.wait_for_group(group.id, judge=self.judge(group), timeout_seconds=asked.timeout)

    def _with_option(self, error: Conflict) -> Exception:
        """A refusal that names an opt-in of the API also names the option that sends it."""
        named = [_option(word) for word in self.opt_ins if word in str(error)]
        if not named:
            return error
        return exceptions.CommandError(f"{error} (here: {', '.join(named)})")  # type: ignore[no-any-return, unused-ignore]

    @abstractmethod
    def judge(self, before: Group) -> Judge:
        """What tells that it is done, of a group that was like `before`."""


class SyncGroup(Action):
    """Start replication: copy what differs, then send every write to both sites"""

    verb = "sync"
    opt_ins: ClassVar[dict[str, str]] = {
        "trust_primary": "Take the data of production for the truth although its ledger was lost; overwrites the other "
        "site"
    }

    def judge(self, before: Group) -> Judge:
        """Both sites hold the same."""
        return judge_in_step


class StopGroup(Action):
    """Pause replication; the other site stays at one moment of all volumes"""

    verb = "stop"

    def judge(self, before: Group) -> Judge:
        """The other site rests."""
        return judge_stopped


class FailoverGroup(Action):
    """Serve from the other availability zone, now; needs nothing of the one that failed"""

    verb = "failover"
    opt_ins: ClassVar[dict[str, str]] = {
        "allow_data_loss": "Fail over although the other site may lack writes that hosts were answered. "
        "Make sure first that no host can reach the old production site",
        "allow_mixed_moments": "Fail over although its volumes are of different moments, because pairs joined since it "
        "was last in step",
    }

    def judge(self, before: Group) -> Judge:
        """The other site serves."""
        return judge_failed_over


class ReverseGroup(Action):
    """Swap the roles of the two availability zones in an orderly way; nothing is copied"""

    verb = "reverse"
    opt_ins: ClassVar[dict[str, str]] = {"force": "Disconnect attached hosts after their writes have drained"}

    def judge(self, before: Group) -> Judge:
        """The other site is production, and both are in step."""
        return judge_reversed(before.priority_station)


class ReprotectGroup(Action):
    """Take the site that was failed over from in again; only what differs is copied"""

    verb = "reprotect"
    opt_ins: ClassVar[dict[str, str]] = {
        "allow_data_loss": "Overwrite what the old production site alone holds after a forced failover"
    }

    def judge(self, before: Group) -> Judge:
        """Both sites hold the same."""
        return judge_in_step


class ExtendGroup(GroupCommand):
    """Extend both volumes of a group's pairs while they are replicated"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--size", metavar="<size>", type=int, required=True, help="New size in GiB")
        parser.add_argument(
            "--replication",
            metavar="<replication>",
            action="append",
            dest="replications",
            help="Pair to extend (name or ID; repeat the option for several). Default: all of the group",
        )
        return parser

    def take_action(self, asked: argparse.Namespace) -> None:
        """Both sites have grown when this is done."""
        client = client_of(self)
        group = client.find_group(asked.group)
        if asked.replications:
            ids = [client.find_pair(name).id for name in asked.replications]
        else:
            ids = list(group.replication_ids or ())
        if not ids:
            raise exceptions.CommandError(f"The group {asked.group} has no pairs: add some first.")
        client.extend_group(group.id, dict.fromkeys(ids, asked.size))
