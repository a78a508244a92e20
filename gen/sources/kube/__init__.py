"""What the cluster source is made of, from the wire up.

access       who we are and where the API server is, from a kubeconfig or a pod
connection   one HTTP client for all requests
errors       what can go wrong, by what it says about our place in the server's history
timing       all waits, and the delays between tries
wire         bytes of the API -> objects, faults, places in the server's history
trim         objects -> what gen uses of them
selection    which objects of one kind, as a path and its parameters
reflector    keeps one selection equal to the server's state
fetcher      the same for single objects that may be read but not listed
outbox       many changes -> few batches
"""
