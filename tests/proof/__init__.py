"""Black-box and cross-proxy proofs: every claim of the project, on the real proxies."""
