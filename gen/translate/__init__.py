"""Translation: from Kubernetes objects to the model, pure and incremental.

`Translator.translate` takes a store and what was touched in it, and gives a Config and all issues.  It works in units
(translate/units.py): one Ingress, one host, one upstream, one certificate, the options.  No I/O, no clock.
"""

from __future__ import annotations

from gen.translate.settings import Settings
from gen.translate.translator import Translation, Translator

__all__ = ["Settings", "Translation", "Translator"]
