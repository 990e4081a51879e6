"""Contract of the host and the reference harness: what both must spell alike. Imports the other contract alone."""
