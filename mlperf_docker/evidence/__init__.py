"""Evidence of what was run: record, gathering, coverage table."""
