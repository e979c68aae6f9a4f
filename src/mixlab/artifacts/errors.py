"""What can go wrong with bytes and folders; printed without a traceback."""


class ArtifactError(Exception):
    """An artifact is absent, incomplete, damaged or being written by somebody else."""

    exit_code = 2


class BusyError(ArtifactError):
    """Another process is writing the artifact."""
