"""Systems: their description file, its check against a round and this host, the systems/<name>.json of a tree."""
