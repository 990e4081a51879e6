"""Recipe of an image: Dockerfile, build context, content hash, labels, locks."""
