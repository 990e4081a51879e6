"""Builds through BuildKit and Buildah."""
