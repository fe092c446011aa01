"""`python -m converter` and the entry point of edge-convert: see converter.cli.main."""

import sys

from converter.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
