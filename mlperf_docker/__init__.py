"""MLPerf Inference in containers: render, build and run one image per model, backend and device."""

__version__ = "0.1.0"
