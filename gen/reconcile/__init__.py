"""The loop, the guard, recovery: from a stream of changes to what the proxy runs.  Owns all retries and timers."""
