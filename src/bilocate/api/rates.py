"""How often one token may ask: a client that runs wild must not take the controller from the others."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from bilocate.api.codes import Problem

# So many tokens are remembered, some 2 MB. Whose token was forgotten begins anew, with a whole burst.
TOKENS_MAX = 10_000


class TokenRates:
    """A bucket for each token: `burst` requests at once, filled again by `per_second`. Each controller has its own."""

    def __init__(
        self,
        per_second: float,
        burst: int,
        now: Callable[[], float] = time.monotonic,
        tokens_max: int = TOKENS_MAX,
    ) -> None:
        """`per_second` 0: no bound. `now`: seconds."""
        self._per_second, self._burst = per_second, max(burst, 1)
        self._now, self._tokens_max = now, tokens_max
        self._buckets: OrderedDict[bytes, tuple[float, float]] = (
            OrderedDict()
        )  # what is left, and when that was

    def take(self, secret: str | None) -> None:
        """One request. Whoever has no token is not counted: all that costs something needs one, or a password check.

        :raises Problem: 429 with Retry-After.
        """
        if not secret or not self._per_second:
            return
        key, now = hashlib.sha256(secret.encode(errors="replace")).digest(), self._now()
        left, at = self._buckets.pop(key, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._per_second)
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        if len(self._buckets) > self._tokens_max:
            self._buckets.popitem(last=False)
        if not allowed:
            seconds = math.ceil((1 - left) / self._per_second)
            raise Problem(
                429,
                f"this token asks more than {self._per_second:g} times a second: try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )
