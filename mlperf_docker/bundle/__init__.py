"""Bundles: images, locks and model files in one folder, for hosts that reach no registry."""
