"""A backend that computes nothing."""
