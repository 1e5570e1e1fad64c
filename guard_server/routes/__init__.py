"""The guard's own routes, one file each; nothing else is reachable."""
