"""The numbers of the NBD protocol, by its public specification, and the errnos it may carry."""

import errno
from struct import Struct

GREETING_MAGIC = b"NBDMAGIC"
OPTION_MAGIC = b"IHAVEOPT"
OPTION_REPLY_MAGIC = 0x3E889045565A9
REQUEST_MAGIC = 0x25609513
SIMPLE_REPLY_MAGIC = 0x67446698
STRUCTURED_REPLY_MAGIC = 0x668E33EF

# magic, flags, type, cookie, offset, length
REQUEST = Struct(">IHHQQI")
# magic, errno, cookie
SIMPLE_REPLY = Struct(">IIQ")
# magic, flags, type, cookie, payload length
CHUNK = Struct(">IHHQI")
# The same, with what a data chunk's payload begins with: the offset
DATA_CHUNK = Struct(">IHHQIQ")
# magic, option, length
OPTION = Struct(">8sII")
OPTION_REPLY = Struct(">QIII")

# Handshake flags, of the server and of the client.
FLAG_FIXED_NEWSTYLE = 1
FLAG_NO_ZEROES = 2

# Transmission flags.
HAS_FLAGS = 1 << 0
READ_ONLY = 1 << 1
SEND_FLUSH = 1 << 2
SEND_FUA = 1 << 3
SEND_TRIM = 1 << 5
SEND_WRITE_ZEROES = 1 << 6
SEND_DF = 1 << 7
CAN_MULTI_CONN = 1 << 8
SEND_CACHE = 1 << 10
SEND_FAST_ZERO = 1 << 11

OPT_EXPORT_NAME = 1
OPT_ABORT = 2
OPT_LIST = 3
OPT_STARTTLS = 5
OPT_INFO = 6
OPT_GO = 7
OPT_STRUCTURED_REPLY = 8
OPT_LIST_META_CONTEXT = 9
OPT_SET_META_CONTEXT = 10

REP_ACK = 1
REP_SERVER = 2
REP_INFO = 3
REP_META_CONTEXT = 4
REP_ERR_UNSUP = 2**31 + 1
REP_ERR_POLICY = 2**31 + 2
REP_ERR_INVALID = 2**31 + 3
REP_ERR_UNKNOWN = 2**31 + 6

INFO_EXPORT = 0
INFO_NAME = 1
INFO_DESCRIPTION = 2
INFO_BLOCK_SIZE = 3

CMD_READ = 0
CMD_WRITE = 1
CMD_DISC = 2
CMD_FLUSH = 3
CMD_TRIM = 4
CMD_CACHE = 5
CMD_WRITE_ZEROES = 6
CMD_BLOCK_STATUS = 7

CMD_FLAG_FUA = 1 << 0
CMD_FLAG_NO_HOLE = 1 << 1
CMD_FLAG_DF = 1 << 2
CMD_FLAG_REQ_ONE = 1 << 3
CMD_FLAG_FAST_ZERO = 1 << 4

REPLY_FLAG_DONE = 1
REPLY_NONE = 0
REPLY_OFFSET_DATA = 1
REPLY_BLOCK_STATUS = 5
REPLY_ERROR = 2**15 + 1

STATE_HOLE = 1
STATE_ZERO = 2

ALLOCATION_CONTEXT = "base:allocation"
ALLOCATION_ID = 1

# The protocol's errnos are Linux's numbers, but these only. Others become the nearest of them, or EIO.
_ERRNOS = (
    errno.EPERM,
    errno.EIO,
    errno.ENOMEM,
    errno.EINVAL,
    errno.ENOSPC,
    errno.EOVERFLOW,
    errno.ENOTSUP,
    errno.ESHUTDOWN,
)
WIRE_ERRNO: dict[int, int] = {code: code for code in _ERRNOS} | {
    0: 0,
    errno.EDQUOT: errno.ENOSPC,
    errno.EFBIG: errno.ENOSPC,
    errno.EROFS: errno.EPERM,
    errno.EACCES: errno.EPERM,
}


def wire_errno(code: int) -> int:
    """An errno as the protocol may carry it."""
    return WIRE_ERRNO.get(code, errno.EIO)
