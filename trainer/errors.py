"""Everything that the trainer raises on purpose, beside what ``p2p`` raises.

TrainerError
├── ConfigError         the YAML can't be used
├── BaseModelError      the base model can't be found or loaded
├── StartAdapterError   the adapter to go on from can't be read, or doesn't fit
├── CheckpointError     a run can't be taken up, or would overwrite another
├── DefenceError        an unknown defence, or parameters it can't use
│   └── NotApplicableError  the defence needs trusted rows or labels that the case doesn't have
├── InterruptedRunError the run was stopped; what it takes to go on is on disk
└── ReportError         results can't be read, or can't stand in one report
"""


class TrainerError(Exception):
    """The root; its message says what to do next."""


class ConfigError(TrainerError):
    """The YAML can't be used."""


class BaseModelError(TrainerError):
    """The base model can't be found or loaded."""


class StartAdapterError(TrainerError):
    """The adapter to go on from can't be read, or doesn't fit the base model or the settings."""


class CheckpointError(TrainerError):
    """A run can't be taken up, or would overwrite another."""


class DefenceError(TrainerError):
    """An unknown defence, or parameters it can't use."""


class NotApplicableError(DefenceError):
    """The defence needs trusted rows or labels that the case doesn't have."""


class InterruptedRunError(TrainerError):
    """The run was stopped; what it takes to go on is on disk."""


class ReportError(TrainerError):
    """Results can't be read, or can't stand in one report."""
