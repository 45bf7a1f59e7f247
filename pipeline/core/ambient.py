"""The modes of torch that a caller may be in, and the one in which the core computes.

Inference mode, autocast, a default device and the fused kernels of attention change what autograd
can do or what numbers come out. An answer must depend on none of them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def own_modes(device: torch.device, *, graph: bool = False) -> Iterator[None]:
    """Compute in the tensors' own dtype, with kernels that can be derived twice.

    What is set outside is set again afterwards.

    Args:
        device: on which is computed.
        graph: leave it to the caller whether a graph is kept; else none is.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        if torch.empty(0).device.type != "cpu":  # `get_default_device` of old torch sees no `with`
            stack.enter_context(torch.device("cpu"))
        if not graph:
            stack.enter_context(torch.no_grad())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        torch.backends.mha.set_fastpath_enabled(False)
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        yield


def ordinary(values: Tensor) -> Tensor:
    """The same numbers, fit for autograd outside of inference mode: those made in it are not."""
    return values.clone() if values.is_inference() else values
