"""Checks of a submission's tree: one module for each subject, all problems told at once."""
