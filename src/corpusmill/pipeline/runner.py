"""Run a Beam graph on a named runner, and say which one ran.

Locally that is `FnApiRunner`, in memory for one worker and in processes of its own for more: `DirectRunner` may choose
another runner, or try to download one, without a word. Any other runner is reached by Beam's own options.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from corpusmill import errors
from corpusmill.errors import ConfigError, CorpusmillError


@dataclass(frozen=True)
class Engine:
    """`workers` local processes, or the runner that `beam_args` name (`--runner=DataflowRunner --project=…`)."""

    workers: int = 1
    beam_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= 1024:
            raise ConfigError(f"workers = {self.workers}; wanted 1 to 1024")
        if self.remote and self.workers > 1:
            raise ConfigError("--workers is for the local runner; give the other runner its own option after --")

    @property
    def remote(self) -> bool:
        """Whether Beam's options name a runner of their own."""
        return any(argument.split("=")[0] == "--runner" for argument in self.beam_args)

    def options(self) -> PipelineOptions:
        """Beam's options for one job."""
        local = {
            "direct_num_workers": self.workers,
            "direct_running_mode": "in_memory" if self.workers == 1 else "multi_processing",
        }
        return PipelineOptions(list(self.beam_args), **({} if self.remote else local))

    def run(self, construct: Callable[[beam.Pipeline], None]) -> str:
        """Build the graph, run it to its end, and give the name of the runner class. Raises what a worker raised."""
        options = self.options()
        if self.remote:
            pipeline = beam.Pipeline(runner=options.view_as(StandardOptions).runner, options=options)
        else:
            pipeline = beam.Pipeline(runner=FnApiRunner(), options=options)
        construct(pipeline)
        try:
            pipeline.run().wait_until_finish()
        except RuntimeError as error:
            raise original(error) from error
        return type(pipeline.runner).__name__


def original(error: RuntimeError) -> Exception:
    """The corpusmill error that a worker raised, which Beam carries as text inside a RuntimeError; or `error`."""
    found = re.findall(r"corpusmill\.errors\.(\w+): (.*?)(?: \[while running .*)?$", str(error), re.MULTILINE)
    if not found:
        return error
    name, message = found[-1]
    cls = getattr(errors, name, CorpusmillError)
    result: Exception = cls(message)
    return result
