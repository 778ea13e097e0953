"""``python -m annatac``: the command line."""

import sys

from annatac.cli import main

sys.exit(main())
