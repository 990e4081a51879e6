"""RetinaNet ResNeXt50-32x4d on OpenImages at 800 x 800: object detection."""

NAME = "retinanet"
"""The model's name in images.yaml."""
