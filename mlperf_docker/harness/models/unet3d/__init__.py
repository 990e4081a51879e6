"""3D-UNet on KiTS19: segmentation of kidneys and their tumours in volumes of computed tomography."""

NAME = "3d-unet"
"""The model's name in images.yaml."""
