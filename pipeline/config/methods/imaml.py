"""Implicit MAML: its title, colour, settings and texts."""

from pydantic import Field

from pipeline.config.card import (
    Count,
    MethodCard,
    MethodSettings,
    NotNegative,
    Point,
    Positive,
    Style,
    Variant,
)

COLOR = "#CC79A7"


class Settings(MethodSettings):
    proximal: Positive = Field(description="lambda of the proximal term")
    cg_steps: Count = Field(description="conjugate-gradient steps")
    cg_regulariser: NotNegative = Field(default=0.0, description="rho of (1 + rho) I in the system")
    cg_damping: NotNegative = Field(default=0.0, description="delta of H/(lambda + delta) in it")


CARD = MethodCard(
    name="imaml",
    title="iMAML",
    order=60,
    citation="Rajeswaran, Finn, Kakade, Levine, NeurIPS 2019, arXiv:1909.04630",
    text="""
- Inner training: K gradient-descent steps on L_S + λ/2 ‖u − θ‖², λ = 15.
- Meta-gradient: g with (I + H/λ) g = ∇L_Q, by 5 conjugate-gradient steps; H = ∇²L_S at the end.
- Memory: one state.
- Time: K gradients and 5 Hessian-vector products.
- Mind: exact only at a minimum of the regularised loss; λ holds u close to θ.
""",
    style=Style(COLOR, "-.", "P"),
    settings=Settings,
    module="imaml",
    function="imaml",
    role="baseline",
    trains="steps",
    compared="early",
    variants={"released": Variant("released system", Style(COLOR, (0, (1, 1)), "p"))},
    points={
        "imaml": Point(
            "iMAML system",
            paper="conjugate gradients on (I + H/lambda) g = v",
            released="imaml_dev: ((1 + rho) I + H/(lambda + delta)) g = v with rho = 1, delta = 10",
            ours="(I + H/lambda) g = v",
            order=60,
            entry={"cg_regulariser": 1.0, "cg_damping": 10.0},
        ),
    },
)
