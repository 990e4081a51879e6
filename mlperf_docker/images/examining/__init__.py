"""Contents of an image against its recipe."""
