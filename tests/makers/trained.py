"""A model as if after training, without any."""

from __future__ import annotations

import torch

from pqrnn.model.parser import ParserModel


def pretend_trained(model: ParserModel) -> ParserModel:
    """Give norms and biases, and what begins at zero, values of their own; return the model in evaluation mode."""
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith((".bias", ".mean")):
                value.normal_(0.0, 0.5)
            elif name.endswith(("norm.weight", ".variance")):
                value.uniform_(0.3, 2.0)
            elif name == "neighbours.weight" or name.endswith(".distances"):
                value.normal_(0.0, 0.5)
    return model.eval()
