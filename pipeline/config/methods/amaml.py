"""A-MAML as the paper has it: a Runge-Kutta flow and its continuous adjoint.

Its title, colour, settings and texts.
"""

from typing import Literal

from pydantic import Field, model_validator

from pipeline.config.card import (
    Memory,
    MethodCard,
    MethodSettings,
    NotNegative,
    Point,
    Positive,
    Share,
    Style,
    Variant,
    Way,
)

COLOR = "#D55E00"
STYLE = Style(COLOR, "-", "X", 2.0)


class Settings(MethodSettings):
    solver: Literal["euler", "midpoint", "rk4", "dopri5", "bosh3"]
    step: Positive = Field(description="spacing of kept states in flow time")
    rtol: Positive
    atol: Positive
    backward: Literal["modified_euler", "discrete", "backsolve", "euler", "released"]
    omega: Share = Field(default=0.0, description="weight of the running cost")
    regulariser: NotNegative = Field(
        default=0.0, description="mu of mu/2 |u - theta|^2 in the inner loss"
    )
    outer_regulariser: NotNegative = Field(
        default=0.0, description="nu of nu/2 |u(T) - theta|^2 in the outer loss"
    )
    memory_mb: Memory = None

    @model_validator(mode="after")
    def _running_cost_needs_its_way_back(self) -> "Settings":
        if self.backward == "backsolve" and self.omega > 0:
            raise ValueError(
                f"omega is {self.omega}, but `backsolve` keeps no states for a running cost; "
                "set omega: 0.0 or backward: modified_euler"
            )
        if self.backward == "released" and self.omega > 0:
            raise ValueError(
                f"omega is {self.omega}, but the `released` way back has no running cost; "
                "set omega: 0.0 or backward: euler"
            )
        return self


BACKSOLVE = {"backward": "backsolve", "omega": 0.0}

CARD = MethodCard(
    name="amaml",
    title="A-MAML",
    order=70,
    citation="Li, Wang, Narayan, Kirby, Zhe, AISTATS 2023, arXiv:2110.08432",
    text="""
- Inner training: the gradient flow to T by an adaptive Runge-Kutta solver (dopri5).
- Meta-gradient: λ(0) of the adjoint dλ/dt = +∇²L_S(u) λ, λ(T) = ∇L_Q, solved backward.
- Memory: the states at every 0.01 of flow time; no graph.
- Time: the flow, then two Hessian-vector products for each kept state (modified Euler).
- Mind: the algorithm of Li et al. (2023); its error is that of both solvers, not only of the first.
""",
    style=STYLE,
    settings=Settings,
    module="amaml",
    function="amaml",
    role="ours",
    trains="flow",
    variants={
        "inner_objective-released": Variant("released objective", Style(COLOR, (0, (5, 1.5)), "o")),
        "forward-released": Variant(
            "released forward solver", Style(COLOR, (0, (3, 1, 1, 1)), "s")
        ),
        "backward-released": Variant("released backward solver", Style(COLOR, (0, (1, 1)), "^")),
        "outer_optimiser-released": Variant(
            "released outer optimiser", Style(COLOR, (0, (8, 2)), "D")
        ),
        "meta_test-released": Variant(
            "released meta-test training", Style(COLOR, (0, (5, 1, 1, 1, 1, 1)), "v")
        ),
        "released-all": Variant("all as released", Style(COLOR, (0, (2, 3)), "*")),
    },
    ways={
        "amaml": Way(
            "kept states,\nmodified Euler",
            "kept states, modified Euler",
            order=10,
            style=STYLE,
            settings={"backward": "modified_euler", "omega": 0.0},
        ),
        "amaml_discrete": Way(
            "RK45, discrete",
            "discrete adjoint of RK45",
            order=20,
            style=Style("#0072B2", "-.", "s", 1.6),
            settings={"backward": "discrete", "omega": 0.0},
        ),
        "backsolve": Way(
            "backsolve, as run",
            "backward re-integration",
            order=40,
            style=Style("#000000", "-", "o", 1.6),
            settings=BACKSOLVE,
        ),
        "backsolve_float64": Way(
            "backsolve, float64",
            "the same in float64, which tells rounding from instability",
            order=50,
            style=Style("#7f7f7f", "--", "D", 1.4),
            settings=BACKSOLVE,
            dtype="float64",
        ),
    },
    points={
        "inner_objective": Point(
            "inner objective",
            paper="plain loss, no proximal term",
            released="1/2 |u - theta|² added in the flow and in the outer loss",
            ours="plain loss",
            order=10,
            entry={"regulariser": 1.0, "outer_regulariser": 1.0},
        ),
        "forward": Point(
            "forward solver",
            paper="RK45",
            released="fixed-step RK4",
            ours="dopri5 (amaml), RKC2 (amaml_rkc)",
            order=20,
            entry={"solver": "rk4"},
        ),
        "backward": Point(
            "backward solver",
            paper="modified Euler",
            released="plain Euler with one step too many",
            ours="modified Euler with n steps (amaml), discrete adjoint (amaml_rkc)",
            order=30,
            entry={"backward": "released"},
        ),
    },
)
