"""Recipe of an image: spec, Dockerfile, build context, hash, labels, locks."""
