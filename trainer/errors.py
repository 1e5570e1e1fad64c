"""Everything that the trainer raises on purpose, beside what ``p2p`` raises.

TrainerError
├── ConfigError         the YAML can't be used
├── BaseModelError      the base model can't be found or loaded
├── CheckpointError     a run can't be taken up, or would overwrite another
├── InterruptedRunError the run was stopped; what it takes to go on is on disk
└── ReportError         results can't be read, or can't stand in one report
"""


class TrainerError(Exception):
    """The root; its message says what to do next."""


class ConfigError(TrainerError):
    """The YAML can't be used."""


class BaseModelError(TrainerError):
    """The base model can't be found or loaded."""


class CheckpointError(TrainerError):
    """A run can't be taken up, or would overwrite another."""


class InterruptedRunError(TrainerError):
    """The run was stopped; what it takes to go on is on disk."""


class ReportError(TrainerError):
    """Results can't be read, or can't stand in one report."""
