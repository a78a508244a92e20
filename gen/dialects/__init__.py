"""Annotation families of the ingress controllers that gen knows: from strings to typed policies.

One folder a dialect, one file a family.  A family exports its rows and one function that builds policy fields or an
action from the parsed values; the folder's `read` does everything that is the same for all of them.
"""
