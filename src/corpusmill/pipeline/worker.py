"""A local worker process: Beam's own, one thread of work, errors only in its log."""

import logging
import os
import sys

if __name__ == "__main__":
    logging.getLogger().setLevel(logging.ERROR)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
