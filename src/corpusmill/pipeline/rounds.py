"""Components of more documents than one worker's memory holds: by rounds of contraction, each a Beam job.

edges ─first─▶ post ─turn, turn, …─▶ stars ─count, size─▶ survivors ─remove─▶ removals

See `dedup/contraction.py`. The documents are cut into `joins` parts by a hash; every part has its turn in each round.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.dedup.components import EDGE
from corpusmill.dedup.contraction import (
    POST,
    SIZE,
    Turn,
    cluster_sizes,
    count_losers,
    first_post,
    sizes_of,
    turn,
)
from corpusmill.errors import LedgerError
from corpusmill.pipeline.directory import Record
from corpusmill.pipeline.groups import BarrierStage, Work
from corpusmill.pipeline.job import Run
from corpusmill.pipeline.phases import Phase, files_record, run_phases
from corpusmill.pipeline.removed import REMOVAL
from corpusmill.pipeline.spill import read_spill
from corpusmill.steps import DocumentBarrier

DOCUMENTS_IN_MEMORY = 1 << 24
"""Documents that are joined in one piece: at most 90 bytes each, 1.5 GB. Beyond, there are rounds."""

MAX_ROUNDS = 256
"""A million documents in a chain take 15."""

Stage = BarrierStage[DocumentBarrier]


def joins_for(documents: int) -> int:
    """Into how many parts so many documents are cut: 1 while they fit, else each has a quarter of what fits."""
    return 1 if documents <= DOCUMENTS_IN_MEMORY else -(-4 * documents // DOCUMENTS_IN_MEMORY)


def send_edges(stage: Stage, source: Any) -> Record:
    """Address one file of edges to the parts."""
    edges = read_spill(stage.edge_files()[source], EDGE, "hub")
    return files_record(stage.write("post-0", source, first_post(edges, stage.joins), "to"))


def take_turn(stage: Stage, unit: Any) -> Record:
    """One part's turn in a round, told how many files of post the last round left."""
    number, part, senders = unit
    own = np.empty(0, EDGE)
    if number > 1:
        own = read_spill(stage.directory.path(stage.scratch(f"own-{number - 1}", part)), EDGE, "document")
    paths = [stage.directory.path(stage.scratch(f"post-{number - 1}", sender)) for sender in range(senders)]
    post = (read_spill(path, POST, "to", 2 * part, 2 * part + 2) for path in paths)
    said: Turn = turn(own, post, part, stage.joins)
    files = (
        stage.write(f"own-{number}", part, said.own, "document"),
        stage.write(f"post-{number}", part, said.post, "to"),
    )
    return {**files_record(*files), "changed": said.changed}


def count_part(stage: Stage, unit: Any) -> Record:
    """How many documents of one part each survivor stands for."""
    number, part = unit
    own = read_spill(stage.directory.path(stage.scratch(f"own-{number}", part)), EDGE, "document")
    return files_record(stage.write("counts", part, count_losers(own), "document"))


def size_range(stage: Stage, part: Any) -> Record:
    """The survivors of one range of documents, with their clusters' sizes."""
    documents = int(stage.first_ordinals()[-1])
    low, high = (documents * n // stage.joins for n in (part, part + 1))
    paths = [stage.directory.path(stage.scratch("counts", other)) for other in range(stage.joins)]
    sizes = cluster_sizes(read_spill(path, SIZE, "document", low, high) for path in paths)
    return files_record(stage.write("survivors", part, sizes, "document"))


def remove_part(stage: Stage, unit: Any) -> Record:
    """The removals of one part."""
    number, part = unit
    own = read_spill(stage.directory.path(stage.scratch(f"own-{number}", part)), EDGE, "document")
    paths = [stage.directory.path(stage.scratch("survivors", other)) for other in range(stage.joins)]
    removals = np.empty(len(own), REMOVAL)
    removals["document"], removals["survivor"] = own["document"], own["hub"]
    removals["cluster_size"] = sizes_of(own, (read_spill(path, SIZE, "document") for path in paths))
    return files_record(stage.write("removals", part, removals, "document"))


def join_by_rounds(job: Run, stage: Stage, mark: str, size: int) -> None:
    """Leave removals and survivors as `join` does, from the edges that are there. Raises LedgerError."""

    def run(*phases: Phase) -> list[Record]:
        return run_phases(job.engine, stage.directory, stage.stage, mark, phases, size)[0]

    def phase(name: str, do: Any, units: list[Any]) -> Phase:
        return Phase(name, [(f"{name}@{n}", unit) for n, unit in enumerate(units)], Work(do, stage))

    parts = range(stage.joins)
    senders = len(stage.edge_files())
    run(phase("first", send_edges, list(range(senders))))
    for number in range(1, MAX_ROUNDS + 1):
        said = run(phase(f"turn-{number}", take_turn, [[number, part, senders] for part in parts]))
        if not any(record["changed"] for record in said):
            break
        senders = stage.joins
    else:
        raise LedgerError(f"{stage.stage}: components still change after {MAX_ROUNDS} rounds; this should not happen")
    run(
        phase("count", count_part, [[number, part] for part in parts]),
        phase("size", size_range, list(parts)),
        phase("remove", remove_part, [[number, part] for part in parts]),
    )
