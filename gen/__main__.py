"""`python -m gen`: the same as the command `gen`."""

import sys

from gen.cli import main

sys.exit(main())
