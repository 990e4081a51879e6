"""The frameworks that can run a model."""
