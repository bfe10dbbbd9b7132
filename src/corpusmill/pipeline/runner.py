"""Run a Beam graph on a named runner, and say which one ran.

Locally that is `FnApiRunner`, in memory for one worker and in processes of its own for more: `DirectRunner` may choose
another runner, or try to download one, without a word. Any other runner is reached by Beam's own options.
"""

from __future__ import annotations

import logging
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from corpusmill import errors
from corpusmill.errors import ConfigError, CorpusmillError

# It warns that `direct_running_mode` is not set, which would set another worker than ours.
logging.getLogger("apache_beam.runners.portability.fn_api_runner.fn_runner").setLevel(logging.ERROR)

BYTES_PER_WORKER = 64 << 20
"""A stage with less than this for each worker takes fewer: a worker process needs about two seconds to start."""


View = TypeVar("View", bound=PipelineOptions)


class Options(PipelineOptions):
    """Beam's options with each view made once: a new one parses all arguments, and a job asks for some 150."""

    def view_as(self, cls: type[View]) -> View:
        """The view of this class. All views share their values, so that one made before shows what was set since."""
        views: dict[type[PipelineOptions], PipelineOptions] = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]

    def __getstate__(self) -> dict[str, Any]:
        """Without the views."""
        return {name: value for name, value in super().__getstate__().items() if name != "_views"}


@dataclass(frozen=True)
class Engine:
    """Up to `workers` local processes, or the runner that `beam_args` name (`--runner=DataflowRunner --project=…`)."""

    workers: int = 1
    beam_args: tuple[str, ...] = ()
    bytes_per_worker: int = BYTES_PER_WORKER

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= 1024:
            raise ConfigError(f"workers = {self.workers}; wanted 1 to 1024")
        if self.remote and self.workers > 1:
            raise ConfigError("--workers is for the local runner; give the other runner its own option after --")

    @property
    def remote(self) -> bool:
        """Whether Beam's options name a runner of their own."""
        return any(argument.split("=")[0] == "--runner" for argument in self.beam_args)

    def runner_name(self, size: int) -> str:
        """The name of the runner that `run` would take."""
        options = Options(list(self.beam_args))
        runner = options.view_as(StandardOptions).runner
        return str(runner) if self.remote else type(self._local(options, size)).__name__

    def run(self, construct: Callable[[beam.Pipeline], None], size: int) -> str:
        """Build the graph for `size` bytes of work, run it to its end, and give the name of the runner's class.

        Raises what a worker raised.
        """
        options = Options(list(self.beam_args))
        runner = options.view_as(StandardOptions).runner if self.remote else self._local(options, size)
        pipeline = beam.Pipeline(runner=runner, options=options)
        construct(pipeline)
        try:
            pipeline.run().wait_until_finish()
        except RuntimeError as error:
            raise original(error) from error
        return type(pipeline.runner).__name__

    def shares(self, size: int) -> bool:
        """Whether `size` bytes of work go to more than one worker."""
        return self.remote or self._workers(size) > 1

    def _workers(self, size: int) -> int:
        return max(1, min(self.workers, size // max(1, self.bytes_per_worker)))

    def _local(self, options: PipelineOptions, size: int) -> FnApiRunner:
        workers = self._workers(size)
        options.view_as(DirectOptions).direct_num_workers = workers
        if workers == 1:
            return FnApiRunner()
        # Beam's own `multi_processing` is the same with a worker that prints warnings over the progress bars.
        command = f"exec {shlex.quote(sys.executable)} -m corpusmill.pipeline.worker"
        return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command))


def original(error: RuntimeError) -> Exception:
    """The corpusmill error that a worker raised, which Beam carries as text inside a RuntimeError; or `error`."""
    found = re.findall(r"corpusmill\.errors\.(\w+): (.*?)(?: \[while running .*)?$", str(error), re.MULTILINE)
    if not found:
        return error
    name, message = found[-1]
    cls = getattr(errors, name, CorpusmillError)
    result: Exception = cls(message)
    return result
