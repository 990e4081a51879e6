"""RetinaNet ResNeXt50-32x4d on OpenImages at 800 x 800: object detection."""
