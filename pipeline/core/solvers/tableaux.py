"""Explicit Runge-Kutta methods, as torchdiffeq 0.2.5 has them: what a step computes.

k_i = f(Y_i), Y_i = u + h sum_j a_ij k_j, u_new = u + h sum_i b_i k_i. Sources: Dormand, Prince,
J. Comput. Appl. Math. 6(1), 1980, with Shampine's midpoint (Math. Comp. 46, 1986); Bogacki,
Shampine, Appl. Math. Lett. 2(4), 1989; `rk4` is Kutta's 3/8 rule.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tableau:
    """a (rows of stages 2, 3, ...), b; for adaptive methods the weights of u(t + h/2).

    Attributes:
        mid: weights over all k and the slope at the end; empty for fixed steps.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    mid: tuple[float, ...] = ()

    @property
    def stages(self) -> int:
        """Slopes that a step needs."""
        return len(self.b)


TABLEAUX = {
    "euler": Tableau((), (1.0,)),
    "midpoint": Tableau(((1 / 2,),), (0.0, 1.0)),
    "rk4": Tableau(
        ((1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
        (1 / 8, 3 / 8, 3 / 8, 1 / 8),
    ),
    "bosh3": Tableau(
        ((1 / 2,), (0.0, 3 / 4)),
        (2 / 9, 1 / 3, 4 / 9),
        (0.0, 1 / 2, 0.0, 0.0),
    ),
    "dopri5": Tableau(
        (
            (1 / 5,),
            (3 / 40, 9 / 40),
            (44 / 45, -56 / 15, 32 / 9),
            (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
            (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        ),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
        (
            6025192743 / 30085553152 / 2,
            0.0,
            51252292925 / 65400821598 / 2,
            -2691868925 / 45128329728 / 2,
            187940372067 / 1594534317056 / 2,
            -1776094331 / 19743644256 / 2,
            11237099 / 235043384 / 2,
        ),
    ),
}
