"""A local worker process: Beam's own, quiet but for errors, with one thread to encode."""

import logging
import os
import sys

if __name__ == "__main__":
    logging.disable(logging.WARNING)  # Beam sets levels itself, later
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
