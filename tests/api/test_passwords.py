"""What is compared with a password when there is no such user."""

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from bilocate.api.identity.passwords import _hash_of_nothing


def test_a_hash_that_nobody_made_costs_as_much_to_look_at_as_any_other() -> None:
    """Parsed, computed with the same parameters, and only then found to be another: not refused at sight."""
    hasher = PasswordHasher(time_cost=1, memory_cost=64)
    drawn = _hash_of_nothing(hasher)
    assert extract_parameters(drawn) == extract_parameters(hasher.hash("a password"))
    assert len(drawn) == len(hasher.hash("a password"))
    assert drawn != _hash_of_nothing(hasher)
    with pytest.raises(VerifyMismatchError):
        hasher.verify(drawn, "a password")
