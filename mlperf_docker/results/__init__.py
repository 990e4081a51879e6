"""Results of runs: value, store, comparison, report."""
