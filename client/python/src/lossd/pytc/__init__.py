"""Drop-in replacements for PyTorch Connectomics' loss orchestrator, balancing and MALIS.

    lossd.pytc.install("localhost:50051")

before a training module is built replaces them all; docs/pytc.md tells more.
"""

from lossd.pytc.install import Installation, install
from lossd.pytc.orchestrator import RemoteLossOrchestrator
from lossd.pytc.terms import LossTermSpec
from lossd.pytc.weighters import (
    GradNormLossWeighter,
    LossCombiner,
    UncertaintyLossWeighter,
    build_loss_weighter,
)

__all__ = [
    "GradNormLossWeighter",
    "Installation",
    "LossCombiner",
    "LossTermSpec",
    "RemoteLossOrchestrator",
    "UncertaintyLossWeighter",
    "build_loss_weighter",
    "install",
]
