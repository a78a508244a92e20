"""What gen writes into a cluster: who may, what, and how often.

lease      one of the replicas is the leader, and only the leader writes
addresses  where clients reach the proxy: given, of a Service, or of nodes
status     these addresses, in the status of each Ingress that is served
events     what became of an Ingress, as Events on it
bucket     so many at once, so many a second

None of it matters to the proxy: every replica renders, whether it is the leader or not.
"""
