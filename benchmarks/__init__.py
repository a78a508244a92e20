"""What gen costs, next to what the proxy's own test of the same configuration costs."""
