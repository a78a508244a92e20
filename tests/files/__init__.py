"""Tests of generations on disk."""
