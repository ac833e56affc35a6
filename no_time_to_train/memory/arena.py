"""Where a memory keeps what it holds."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_BYTES = 32 << 20
"""Size of the blocks in which a memory keeps what it holds."""


class Arena:
    """Keeps many small tensors in few large blocks.

    Small tensors that stay, made between the encoder's large ones that go, would lie scattered over
    the heap and keep the holes between them from being used: 15 GB for 12,030 references.
    """

    def __init__(self) -> None:
        self.free: dict[torch.dtype, Tensor] = {}

    @torch.inference_mode()
    def keep(self, tensor: Tensor) -> Tensor:
        """Copy a tensor to where it can stay, and give the copy."""
        size = tensor.numel()
        free = self.free.get(tensor.dtype, tensor.new_empty(0))
        if len(free) < size:
            free = tensor.new_empty(max(size, BLOCK_BYTES // tensor.element_size()))
        self.free[tensor.dtype] = free[size:]
        return free[:size].view(tensor.shape).copy_(tensor)
