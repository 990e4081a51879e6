"""Samples: decoded, preprocessed in parallel, cached, loaded as a QSL."""
