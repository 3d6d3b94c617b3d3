"""Functions and products whose bits do not depend on where in a batch a value stands, nor on the batch's size.

torch's own sigmoid, softplus and batched matrix product are faster, but treat the last few values of a tensor by other
code than the rest: a stream's numbers would then change, in their last bit, with its place among its neighbours, and a
stream that was recovered from its log would no longer be the one that was lost. Products, sums along one axis, tanh,
exp, log1p and erf do not have that fault; everything here is made of them. `check_lanes` in checks.py holds it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid(x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``, written so that neither it nor its gradient can overflow."""
    return 0.5 * torch.tanh(0.5 * x) + 0.5


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))``, and x itself above 20 as in torch."""
    return torch.where(x > 20, x, torch.log1p(torch.exp(x.clamp(max=20))))


def silu(x: Tensor) -> Tensor:
    """``x sigmoid(x)``."""
    return x * sigmoid(x)


def gelu(x: Tensor) -> Tensor:
    """``x Φ(x)``, Φ the distribution function of the normal distribution."""
    return 0.5 * x * (1 + torch.erf(x * math.sqrt(0.5)))


def lecun_tanh(x: Tensor) -> Tensor:
    """``1.7159 tanh(0.666 x)``: keeps unit variance (LeCun et al. 1998, Efficient BackProp)."""
    return 1.7159 * torch.tanh(0.666 * x)


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``(batch, out)`` from inputs ``(batch, in)`` and weights, shared or a set a stream.

    Parameters
    ----------
    weight, bias
        ``(out, in)`` and ``(out,)``, or with a leading ``batch`` axis. A product with shared weights is torch's own,
        whose last bits may depend on the batch's size.
    """
    product = F.linear(inputs, weight) if weight.dim() == 2 else (weight * inputs.unsqueeze(1)).sum(2)
    return product if bias is None else product + bias


__all__ = ["gelu", "lecun_tanh", "linear", "sigmoid", "silu", "softplus"]
