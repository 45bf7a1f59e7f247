"""A-MAML with Chebyshev steps and their discrete adjoint: its title, colour, settings and texts."""

from pydantic import Field

from pipeline.config.card import (
    Memory,
    MethodCard,
    MethodSettings,
    NotNegative,
    Positive,
    Share,
    Style,
    Variant,
    Way,
)

STYLE = Style("#C5A600", "--", "p", 2.0)  # Okabe-Ito's yellow, darkened for white paper


class Settings(MethodSettings):
    rtol: Positive
    atol: Positive
    omega: Share = Field(default=0.0, description="weight of the running cost")
    regulariser: NotNegative = Field(
        default=0.0, description="mu of mu/2 |u - theta|^2 in the inner loss"
    )
    memory_mb: Memory = None
    early_stopping: bool = Field(
        default=False, description="each task trains until its query loss is least, at most to T"
    )


CARD = MethodCard(
    name="amaml_rkc",
    title="A-MAML RKC",
    order=90,
    citation="ours; steps of Sommeijer, Shampine, Verwer 1998, doi:10.1016/S0377-0427(97)00219-7",
    text="""
- Inner training: the same flow by a stabilised Chebyshev method (RKC2) with large steps.
- Meta-gradient: the exact discrete adjoint of those steps, the transpose of their recurrence.
- Memory: the stages of each step.
- Time: grows as the square root of T times the curvature, where the others grow in proportion.
- Mind: exact for the numbers computed, whatever the tolerance; the flow's own error remains.
""",
    style=STYLE,
    settings=Settings,
    module="amaml_rkc",
    function="amaml_rkc",
    role="ours",
    trains="flow",
    proposed=True,
    trains_studies=True,
    variants={
        "early": Variant("early stopping", Style("#6A3D9A", (0, (4, 1, 1, 1)), "d", 2.0)),
    },
    ways={
        "amaml_rkc": Way(
            "Chebyshev, discrete",
            "that of Chebyshev steps",
            order=30,
            style=STYLE,
            settings={"omega": 0.0},
        ),
    },
)
