"""What can go wrong in a benchmark."""


class BenchError(Exception):
    """A measurement could not be made, or would not be fair; the message says why and what to do."""
