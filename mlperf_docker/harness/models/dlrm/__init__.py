"""DLRM on the Criteo Terabyte click logs: recommendation."""
