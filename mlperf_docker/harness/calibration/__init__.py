"""Short measurements that choose batch sizes."""
