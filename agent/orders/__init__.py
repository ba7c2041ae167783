"""The vocabulary of orders: what a bot may ask of a node, and what a node answers.

Pure and shared by bot and agent. One struct per order, a closed union, no Docker JSON anywhere
(docs/decisions/0007). An order travels as the strict JSON inside a signed envelope
(`agent.orders.envelope`).
"""

from agent.orders.facts import (
    ContainerFact,
    DeploymentFact,
    DiskFact,
    EngineFact,
    ImageFact,
    NodeFacts,
    PortFact,
)
from agent.orders.spec import (
    Exposure,
    Gate,
    Profile,
    Published,
    Revision,
    SealedValue,
    Setting,
    VolumeMount,
)
from agent.orders.verbs import (
    READING,
    ApplyDeployment,
    ContainerLogs,
    EngineTarget,
    GetFacts,
    ImportImage,
    InspectImage,
    Order,
    PartTarget,
    PullImage,
    RemoveDeployment,
    RemoveImage,
    RemoveTarget,
    ResolveImage,
    RestartTarget,
    StartTarget,
    StopTarget,
    Target,
    verb_of,
)

__all__ = [
    "READING",
    "ApplyDeployment",
    "ContainerFact",
    "ContainerLogs",
    "DeploymentFact",
    "DiskFact",
    "EngineFact",
    "EngineTarget",
    "Exposure",
    "Gate",
    "GetFacts",
    "ImageFact",
    "ImportImage",
    "InspectImage",
    "NodeFacts",
    "Order",
    "PartTarget",
    "PortFact",
    "Profile",
    "Published",
    "PullImage",
    "RemoveDeployment",
    "RemoveImage",
    "RemoveTarget",
    "ResolveImage",
    "RestartTarget",
    "Revision",
    "SealedValue",
    "Setting",
    "StartTarget",
    "StopTarget",
    "Target",
    "VolumeMount",
    "verb_of",
]
