"""Read an export with its owner's own reader, in an environment of theirs: FORMAT WHAT FOLDER OUT SEQUENCE_LENGTH END.

Leaves OUT, an npz with `tokens` (flat), `ends` (where each sequence ends) and what else the reader tells.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


def flat(sequences: list[Any]) -> dict[str, Any]:
    arrays = [np.asarray(sequence).astype(np.int64).reshape(-1) for sequence in sequences]
    return {"tokens": np.concatenate(arrays), "ends": np.cumsum([len(array) for array in arrays])}


class Asked(NamedTuple):
    what: str
    length: int
    end: int


def megatron(folder: Path, asked: Asked) -> dict[str, Any]:  # noqa: ARG001
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    sequences, documents = [], 0
    for path in sorted(folder.glob("*.bin")):
        dataset = IndexedDataset(str(path.with_suffix("")))
        sequences += [np.array(dataset[n]) for n in range(len(dataset))]
        documents += len(dataset.document_indices) - 1
    return {**flat(sequences), "documents": documents}


def mds(folder: Path, asked: Asked) -> dict[str, Any]:
    # its package imports torchvision for data sets of images, which would have to fit torch's own build
    names = {"datasets": "VisionDataset", "transforms": "", "transforms.functional": "to_tensor"}
    for name, wanted in {"": "", **names}.items():
        full = f"torchvision.{name}".rstrip(".")
        module: Any = types.ModuleType(full)
        module.__spec__ = importlib.machinery.ModuleSpec(full, None, is_package=True)
        module.__path__ = []
        setattr(module, wanted or "unused", object)
        sys.modules[full] = module
    from streaming import LocalDataset

    dataset = LocalDataset(str(folder))
    samples = [dataset[n] for n in range(len(dataset))]
    found = flat([sample["tokens"] for sample in samples])
    if asked.what == "rows":
        return {
            **found,
            "pieces": np.cumsum(np.concatenate([sample["lengths"] for sample in samples]).astype(np.int64)),
        }
    return {**found, **{name: np.array([sample[name] for sample in samples]) for name in ("id", "source")}}


def datatrove(folder: Path, asked: Asked) -> dict[str, Any]:
    from datatrove.utils.dataset import DatatroveFolderDataset

    size = int(next(folder.glob("*.metadata")).read_text().splitlines()[0].rsplit("|", 1)[1])
    dataset = DatatroveFolderDataset(
        str(folder),
        seq_len=asked.length - 1,
        filename_pattern="*.ds",
        token_size=size,
        return_positions=asked.what == "rows",
    )
    windows = [dataset[n] for n in range(len(dataset))]
    found = flat([window["input_ids"] for window in windows])
    if asked.what == "rows":
        return {**found, "positions": np.concatenate([window["positions"].numpy() for window in windows])}
    from datatrove.pipeline.tokens.merger import load_doc_ends

    ends, at = [], 0
    for path in sorted(folder.glob("*.index")):
        inside = load_doc_ends(path.open("rb"))
        ends.append(at + np.asarray(inside, dtype=np.int64))
        at = int(ends[-1][-1])
    return {**found, "ends": np.concatenate(ends)}


def olmo(folder: Path, asked: Asked) -> dict[str, Any]:
    import torch
    from olmo_core.data.numpy_dataset import NumpyFSLDataset
    from olmo_core.data.utils import get_labels, iter_document_indices

    paths = sorted(folder.glob("part-*.npy"))
    if asked.what == "documents":
        told, scanned, tokens, at = [], [], [], 0
        for path in paths:
            tokens.append(np.fromfile(path, np.uint16))
            table = list(iter_document_indices(path, use_array_if_local=False))
            scan = list(iter_document_indices(path, use_array_if_local=True, eos_token_id=asked.end, dtype=np.uint16))
            told += [at + stop for _, stop in table]
            scanned += [at + stop for _, stop in scan]
            at += len(tokens[-1])
        return {"tokens": np.concatenate(tokens), "ends": np.array(told), "scanned": np.array(scanned)}
    dataset = NumpyFSLDataset(
        *map(str, paths),
        sequence_length=asked.length,
        pad_token_id=asked.end,
        eos_token_id=asked.end,
        vocab_size=1 << 16,
        dtype=np.uint16,
        label_mask_paths=sorted(map(str, folder.glob("mask-*.npy"))),
    )
    dataset.prepare()
    rows = [dataset[n] for n in range(len(dataset))]
    batch = {name: torch.stack([row[name] for row in rows]) for name in ("input_ids", "label_mask")}
    return {**flat(list(batch["input_ids"].numpy())), "targets": get_labels(batch).numpy().reshape(-1)}


def hf(folder: Path, asked: Asked) -> dict[str, Any]:
    from datasets import load_dataset

    cache = str(folder.parent / f".cache-{folder.name}")
    dataset = load_dataset(str(folder), split="train", cache_dir=cache)
    named = load_dataset("parquet", data_files=str(folder / "data" / "*.parquet"), split="train", cache_dir=cache)
    assert named["input_ids"] == dataset["input_ids"]
    found = flat(dataset["input_ids"])
    if asked.what == "documents":
        return {**found, **{name: np.array(dataset[name]) for name in ("id", "source")}}
    return {**found, **_collated(dataset, asked.length)}


def _collated(dataset: Any, length: int) -> dict[str, Any]:
    """What a padding-free collator makes of the rows, each piece a sequence."""
    from transformers import DataCollatorWithFlattening

    collator = DataCollatorWithFlattening(return_flash_attn_kwargs=True)
    labels, positions, pieces, at = [], [], [], 0
    for row in dataset:
        cuts = np.cumsum([0, *row["seq_lengths"]])
        parts = [{name: row[name][start:stop] for name in ("input_ids", "labels")} for start, stop in pairwise(cuts)]
        batch = collator(parts)
        assert batch["input_ids"][0].tolist() == row["input_ids"]
        assert batch["position_ids"][0].tolist() == row["position_ids"]
        labels.append(batch["labels"][0].numpy())
        positions.append(batch["position_ids"][0].numpy())
        pieces.append(at + batch["cu_seq_lens_q"].numpy()[1:].astype(np.int64))
        at += length
    assert np.concatenate(labels).tolist() == [label for row in dataset["labels"] for label in row]
    return {
        "labels": np.concatenate(labels),
        "positions": np.concatenate(positions),
        "pieces": np.concatenate(pieces),
    }


def litdata(folder: Path, asked: Asked) -> dict[str, Any]:
    from litdata import StreamingDataset, TokensLoader

    dataset = StreamingDataset(str(folder), item_loader=TokensLoader(block_size=asked.length), drop_last=False)
    return flat([dataset[n] for n in range(len(dataset))])


def main() -> None:
    name, what, folder, out, length, end = sys.argv[1:]
    found = globals()[name](Path(folder), Asked(what, int(length), int(end)))
    np.savez(out, **found)


if __name__ == "__main__":
    main()
