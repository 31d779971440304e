"""What keeps a volume's status from being set by hand, and its type from being changed: one class per condition.

They are refused at the call, so no row keeps them as the reason of its error.
"""

from bilocate.domain.errors_operations import Conflict, Invalid


class StatusNotSet(Conflict):
    """A status is set by hand only where nothing gets lost and nobody is misled by it."""

    def __init__(self, volume_id: str, wanted: str, why: str) -> None:
        super().__init__(f"the status of volume {volume_id} is not set to {wanted}: {why}")


class SameType(Invalid):
    """A volume is to have the type that it has."""

    def __init__(self, volume_id: str, name: str) -> None:
        super().__init__(f"volume {volume_id} has the type {name} already: name another one")


class PairedNotRetyped(Conflict):
    """Both volumes of a pair are of one type."""

    def __init__(self, volume_id: str, pair_id: str) -> None:
        super().__init__(
            f"volume {volume_id} is in pair {pair_id}, whose volumes are of one type: delete the pair, retype both "
            "volumes, and pair them again"
        )
