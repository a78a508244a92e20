"""What the tests need of the world: loopback addresses, echo servers, clients, `gen run`, the real proxies."""
