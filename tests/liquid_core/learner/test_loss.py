"""Losses, held to torch's own on one stream at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from liquid_core.learner.loss import HUBER_DELTA, class_error, class_loss, importance, residual_loss

GENERATOR = torch.Generator().manual_seed(0)
OUTPUTS = torch.randn(5, 4, generator=GENERATOR, dtype=torch.float64) * 4
TARGETS = torch.randn(5, 4, generator=GENERATOR, dtype=torch.float64) * 4
KNOWN = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0]]).bool()


def test_the_residual_loss_is_hubers_over_known_targets() -> None:
    """Each stream's loss is the mean of torch's Huber loss over the targets that arrived."""
    found = residual_loss(OUTPUTS, TARGETS, KNOWN, torch.ones(4))

    for row in (0, 1, 2, 4):
        known = KNOWN[row]
        torch.testing.assert_close(
            found[row], F.huber_loss(OUTPUTS[row][known], TARGETS[row][known], delta=HUBER_DELTA)
        )


def test_a_far_target_counts_for_less() -> None:
    """A target of horizon h counts 1 / h, among those that arrived; so the near ones keep the cell."""
    weights = importance((1, 24), 2)
    found = residual_loss(OUTPUTS, TARGETS, KNOWN, weights)
    alone = F.huber_loss(OUTPUTS, TARGETS, delta=HUBER_DELTA, reduction="none")

    torch.testing.assert_close(weights, torch.tensor([1.0, 1.0, 1 / 24, 1 / 24], dtype=torch.float64))
    torch.testing.assert_close(found[0], (alone[0] * weights).sum() / (2 + 2 / 24))
    torch.testing.assert_close(found[1], (alone[1, 0] + alone[1, 3] / 24) / (1 + 1 / 24))
    torch.testing.assert_close(found[2], alone[2, 3])


def test_without_a_target_there_is_no_loss() -> None:
    """A stream that got none has a loss and gradient of zero."""
    outputs = OUTPUTS.clone().requires_grad_()
    loss = residual_loss(outputs, TARGETS, KNOWN, torch.ones(4))
    (gradient,) = torch.autograd.grad(loss.sum(), outputs)

    assert loss[3] == 0
    assert not gradient[~KNOWN].any()


def test_the_class_loss_is_the_cross_entropy() -> None:
    """Of logits and a one-hot target, stream by stream; unknown ones count nothing."""
    classes = torch.tensor([0, 3, 1, 2, 2])
    known = torch.tensor([True, True, False, True, True])[:, None].expand(5, 4)
    one_hot = F.one_hot(classes, 4).double()
    expected = F.cross_entropy(OUTPUTS, classes, reduction="none") * known[:, 0]

    torch.testing.assert_close(class_loss(OUTPUTS, one_hot, known), expected)


def test_the_class_error_is_minus_the_gradient() -> None:
    """What the readout is taught is the descent direction of the cross-entropy."""
    outputs, one_hot = OUTPUTS.clone().requires_grad_(), F.one_hot(torch.tensor([0, 3, 1, 2, 2]), 4).double()
    loss = class_loss(outputs, one_hot, torch.ones(5, 4).bool())
    (gradient,) = torch.autograd.grad(loss.sum(), outputs)

    torch.testing.assert_close(class_error(OUTPUTS, one_hot), -gradient)
