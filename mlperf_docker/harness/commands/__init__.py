"""Commands of the harness, from their options to their reply."""
