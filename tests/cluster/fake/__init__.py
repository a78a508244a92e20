"""An API server for tests: real HTTP on loopback, and what list-watch, status, leases and Events need of the API.

It is faithful and never fails by itself: faults are put in front of it (tests.cluster.faults).
"""

from tests.cluster.fake.server import FakeApi

__all__ = ["FakeApi"]
