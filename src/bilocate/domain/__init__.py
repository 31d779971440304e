"""The pure floor: words, states, transition tables, the arbiter's rule, errors. No I/O and no clock."""
