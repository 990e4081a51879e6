"""Kubernetes: runs as Jobs, and what their pods left."""
