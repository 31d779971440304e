"""Why a pair, a group or a volume is in an error status: kept with the row, spelled in numbers by the API."""

from enum import Enum


class Failure(Enum):
    """One reason each; the sentence that goes with it is kept beside it."""

    SIZES_DIFFER = "sizes_differ"
    PEER_SITE_OUT_OF_REACH = "peer_site_out_of_reach"
    PRODUCTION_VOLUME_GONE = "production_volume_gone"
    DR_VOLUME_GONE = "dr_volume_gone"
    PRODUCTION_VOLUME_PAIRED = "production_volume_paired"
    DR_VOLUME_PAIRED = "dr_volume_paired"
    DR_VOLUME_ATTACHED = "dr_volume_attached"
    PRIMARY_STORAGE_ABNORMAL = "primary_storage_abnormal"
    SECONDARY_STORAGE_ABNORMAL = "secondary_storage_abnormal"
    PRODUCTION_GROUP_QUOTA = "production_group_quota"
    DR_GROUP_QUOTA = "dr_group_quota"
    INTERNAL = "internal"
    BUSY = "busy"
