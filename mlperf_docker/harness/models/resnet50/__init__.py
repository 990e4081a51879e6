"""ResNet-50 v1.5 on ImageNet 2012: image classification."""

NAME = "resnet50"
"""The model's name in images.yaml."""
