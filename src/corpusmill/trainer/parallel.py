"""One process or many of torchrun's, and a model that is whole in each or shared out among them.

Both ways are `fully_shard` (FSDP2); for replicas its mesh has one for each process, and shards of one. Buckets are
then the blocks, the same in every step; DistributedDataParallel puts them together anew after the first step, and with
three processes or more a run that was gone on with would add up gradients in another order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from corpusmill.errors import ConfigError
from corpusmill.trainer.model import Model


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    def add_up(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors, in place; nothing is asked back from the device."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def share(self, rows: int) -> int:
        """Rows of a step for each process; where they are not enough for all, the rest are rows of nothing."""
        return -(-rows // self.size)


@contextmanager
def joined(device: str) -> Iterator[World]:
    """The world that torchrun's environment describes, or this process alone. Raises ConfigError for no such device."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    found = torch.device(device)
    if found.type == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError(f"device = {device}: torch sees no CUDA device here; wanted cpu")
        if size > 1:
            found = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(found)
    if size == 1:
        yield World(found)
        return
    if dist.is_initialized():  # by whoever calls, who also ends it
        yield World(found, rank, size)
        return
    dist.init_process_group("nccl" if found.type == "cuda" else "gloo")
    try:
        yield World(found, rank, size)
    finally:
        dist.destroy_process_group()


def is_main() -> bool:
    """Whether this process is the one that speaks to people."""
    return os.environ.get("RANK", "0") == "0"


def one_process(what: str) -> None:
    """Raise ConfigError under torchrun with several processes."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(f"{what} is done by one process; start it without torchrun")


def spread(model: Model, how: Literal["ddp", "fsdp"], world: World) -> Model:
    """The model for this world. Its gradients are the mean over the processes."""
    if world.size == 1:
        return model
    kind = world.device.type
    mesh = (
        init_device_mesh(kind, (world.size,))
        if how == "fsdp"
        else init_device_mesh(kind, (world.size, 1), mesh_dim_names=("replicate", "shard"))
    )
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def synchronize(model: nn.Module, now: bool) -> None:
    """Whether the next backward pass adds up the processes' gradients, or keeps its own for later."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(now)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor whose parts the processes have; all of them must call it."""
    tensor = tensor.detach()
    if isinstance(tensor, DTensor):
        full: Tensor = tensor.full_tensor()
        return full
    return tensor


def part(full: Tensor, like: Tensor) -> Tensor:
    """This process's part of a tensor that every process has, laid out `like` another."""
    full = full.to(like.device)
    if not isinstance(like, DTensor):
        return full
    return distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)
