"""`python -m runtime_py` is the command line of a board."""

import sys

from runtime_py.cli import main

if __name__ == "__main__":
    sys.exit(main())
