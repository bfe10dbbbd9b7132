"""Started by torchrun: the trainings of jobs.json, one after the other, in one group of processes.

Each job is {"folder", "config"}; with "copy_of" the folder is first made a copy of that training, put back to "step".
"""

import json
import shutil
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from corpusmill.trainer import TrainConfig, checkpoint, train


def main(shards: str, jobs: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    for job in json.loads(Path(jobs).read_text("utf-8")):
        folder = Path(job["folder"])
        if "copy_of" in job and dist.get_rank() == 0:
            shutil.copytree(job["copy_of"], folder)
            checkpoint.go_back(folder, job["step"])
        dist.barrier()
        history = train(shards, folder, TrainConfig(**job["config"]))
        assert [record["step"] for record in history.records] == list(range(1, history.records[-1]["step"] + 1))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
