"""The way back through recorded steps: from dJ/du(T) to dJ/dtheta, exact for the numbers computed.

The transpose of a step stands beside the step, as `back` of its scheme:
`solvers/gradient_descent.py`, `solvers/runge_kutta_step.py`, `solvers/chebyshev_step.py`. What
solves the adjoint's differential equation instead stands in `adjoint_flow.py`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.core.recording import Recording, Step
from pipeline.core.seeds import put, take

# a step's number and the step -> what lambda gains at its start, a row for each of its seeds' tasks
StepJump = Callable[[int, Step], Tensor]


def sweep(recording: Recording, lam: Tensor, jump: StepJump | None = None) -> Tensor:
    """The transposes of all steps, the last one first, with step sizes held fixed.

    Args:
        lam: lambda(T) = dJ/du(T) (R, Q), without the jump at the last state.
        jump: what a running cost adds at each step's start, from the last down to u(0).

    Returns:
        dJ/dtheta of each task, (R, Q), the part through the regulariser's anchor included.
    """
    flow, scheme = recording.flow, recording.scheme
    through_anchor = torch.zeros_like(lam)
    for number, step, points in recording.backward():
        seeds = scheme.seeds(step.plan)
        part = take(lam, seeds, flow.seeds)
        anchored = torch.zeros_like(part) if flow.regulariser else None
        part = scheme.back(flow, step, points, part, anchored)
        del points  # before the next step's are made
        if jump is not None:
            part = part + jump(number, step)
        lam = put(lam, seeds, part, flow.seeds)
        if anchored is not None:
            anchored += take(through_anchor, seeds, flow.seeds)
            through_anchor = put(through_anchor, seeds, anchored, flow.seeds)
    return lam + through_anchor if flow.regulariser else lam
