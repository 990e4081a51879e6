"""images.yaml and the specs made from it."""
