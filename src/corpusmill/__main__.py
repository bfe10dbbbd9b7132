"""`python -m corpusmill`."""

import sys

from corpusmill.jobs.main import main

if __name__ == "__main__":
    sys.exit(main())
