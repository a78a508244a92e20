"""`python -m tests.dialects` writes docs/annotations.md."""

from __future__ import annotations

from tests.dialects.test_page import PAGE, made

PAGE.write_text(made(), encoding="utf-8")
