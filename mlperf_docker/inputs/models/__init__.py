"""Official model files: list, fetch, verify."""
