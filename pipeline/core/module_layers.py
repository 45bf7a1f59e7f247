"""Layers that are known for what cannot be derived, and what helps."""

from collections.abc import Callable

from torch import nn

Layer = Callable[[nn.Module], bool]
Table = nn.Embedding | nn.EmbeddingBag


def refuse_layers(module: nn.Module) -> None:
    """Raise ValueError for layers whose gradient is, by their settings, not that of the loss.

    No trial can be trusted to see it: it shows for some items only.
    """
    for layer in module.modules():
        if isinstance(layer, Table):
            for is_wrong, remedy in _WRONG:
                if is_wrong(layer):
                    raise ValueError(f"{type(module).__name__} is refused: {remedy}")


def remedy_for(module: nn.Module) -> str:
    """What helps, by the layers that are known for it; empty when there is none."""
    layers = list(module.modules())
    for is_known, remedy in _REMEDIES:
        if any(is_known(layer) for layer in layers):
            return remedy
    return ""


def _is_named(layer: nn.Module, name: str) -> bool:
    """Of a parametrization, whose class torch keeps to itself."""
    return type(layer).__name__ == name


_WRONG: tuple[tuple[Callable[[Table], bool], str], ...] = (
    (
        lambda layer: layer.padding_idx is not None and layer.weight.requires_grad,
        "an embedding with padding_idx gives that item no gradient, though its predictions "
        "depend on it. Leave padding_idx out; rows of weight 0 pad a task.",
    ),
    (
        lambda layer: bool(layer.scale_grad_by_freq) and layer.weight.requires_grad,
        "an embedding with scale_grad_by_freq=True gives a gradient that is not that of its "
        "loss. Use scale_grad_by_freq=False.",
    ),
    (
        lambda layer: layer.max_norm is not None,
        "an embedding with max_norm changes its weights when it is called. Use max_norm=None, "
        "or divide by the norm in `forward`.",
    ),
)

# The first that fits: what is wrong in itself before what only some kernels cannot do.
_REMEDIES: tuple[tuple[Layer, str], ...] = (
    (
        lambda layer: isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.training,
        "Batch norm: call `.eval()` on the module, or use GroupNorm or LayerNorm.",
    ),
    (
        lambda layer: (
            isinstance(layer, nn.modules.dropout._DropoutNd) and layer.training and layer.p > 0
        ),
        "Dropout: call `.eval()` on the module, or set p to 0.",
    ),
    (
        lambda layer: isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.sparse,
        "Embeddings: use sparse=False.",
    ),
    (
        lambda layer: isinstance(layer, nn.EmbeddingBag),
        "Embedding bags: use `nn.Embedding` and a sum or mean.",
    ),
    (
        lambda layer: _is_named(layer, "_SpectralNorm") and layer.training,
        "Spectral norm: call `.eval()` on the module.",
    ),
    (
        lambda layer: _is_named(layer, "_WeightNorm") or hasattr(layer, "weight_g"),
        "Weight norm: torch's second derivative of it is wrong; write it as a parametrization of "
        "your own, `g * v / v.norm(dim=1, keepdim=True)`.",
    ),
    (
        lambda layer: isinstance(layer, nn.RNNBase),
        "Recurrent layers: where a kernel cannot be derived twice, write the loop with "
        "`nn.RNNCell`, `nn.GRUCell` or `nn.LSTMCell`.",
    ),
)
