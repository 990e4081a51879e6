"""Harness of the images: one MLPerf benchmark under LoadGen. Never imports the host tool, nor is imported by it."""

from mlperf_docker import __version__

__all__ = ["__version__"]
