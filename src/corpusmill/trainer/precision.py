"""Which products are made in bfloat16."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

from corpusmill.errors import ConfigError

Precision = Literal["fp32", "bf16"]


def resolve(wanted: Literal["fp32", "bf16", "auto"], device: torch.device) -> Precision:
    """What `wanted` means on this device. Raises ConfigError for bf16 on a GPU that has none."""
    has = computes_bf16(device)
    if wanted == "bf16" and device.type == "cuda" and not has:
        raise ConfigError(f"precision = bf16: {device} does not compute bfloat16; wanted fp32 or auto")
    return "bf16" if wanted == "bf16" or (wanted == "auto" and has) else "fp32"


def computes_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; any CPU can imitate it, more slowly than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Within it, matrix products run in bfloat16; weights, norms, sums and losses stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
