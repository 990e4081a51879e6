"""Run of the reference, from its options to its result."""
