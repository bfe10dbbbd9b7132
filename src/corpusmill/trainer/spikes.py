"""Steps that must not be made: spikes of the loss or of the gradient, and gradients that are no number.

The rule is that of OLMo-core's SkipStepOptimizer (`optim/skip_step_optimizer.py`): against mean and deviation of the
last 128 losses and gradient norms, skipped ones among them, once there are max(20, 64) with this one. Only what lies
above counts, for a loss that falls steeply is no accident.
"""

from __future__ import annotations

import torch
from torch import Tensor

FEWEST = 20


class Spikes:
    """The losses and gradient norms of the last steps, on the device: judging asks nothing back from it."""

    def __init__(self, sigma: float | None, window: int, device: torch.device) -> None:
        """Judge by `sigma` deviations over `window` steps; with None only what is no number is left out."""
        self._sigma, self._needed = sigma, max(FEWEST, window // 2)
        self.last = torch.full((2, window), torch.nan, dtype=torch.float64, device=device)
        """float64[2, window]: losses, norms; the latest is last, nan where there was none yet."""

    def judge(self, loss: Tensor, norm: Tensor) -> Tensor:
        """float32[]: 1 where the step with this loss and gradient norm must not be made, else 0. Remembers them."""
        latest = torch.stack((loss, norm)).double()
        finite = latest.isfinite().all()
        skip = ~finite
        if self._sigma is not None:
            known = self.last.isfinite()
            count = known.sum(dim=1)
            mean = self.last.nan_to_num().sum(dim=1) / count
            spread = torch.where(known, self.last - mean[:, None], 0).square().sum(dim=1) / (count - 1)
            above = latest - mean > self._sigma * spread.sqrt()
            skip = skip | ((count + 1 >= self._needed) & above).any()
        moved = torch.cat((self.last[:, 1:], latest[:, None]), dim=1)
        self.last = torch.where(finite, moved, self.last)
        return skip.float()
