"""One folder a proxy; each has the same files, and none knows another."""
