"""What a backend cannot honour, said in one place: from the words of its `features`.

The words: the name of every optional field of ir.Policy; "regex" (a Match of that kind); "weights" (a Forward to several
upstreams); "dns" (Upstream.dns); "listeners" (Config.listeners).  What is missing becomes an Issue; a route whose
*security* policy is missing is closed (503) instead of opened.
"""
