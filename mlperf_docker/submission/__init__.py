"""Submission: the tree of files that a round's checkers take, its writing, checking and merging."""
