"""Define every error that this project raises on purpose.

    LoadTestError
    ├── UsageError               the command line is wrong: nothing was started        exit 2
    │   ├── UnknownRunError      no run has this name, or several have it
    │   └── ObjectiveError       an objective that cannot be parsed; points at the column
    └── UnusableError            the tool, the machine or the target could not be used        exit 4
        ├── TargetError          the service under test does not answer, or its answer cannot be used
        ├── FleetError           the Locust processes could not be started or kept
        ├── EmulatorError        the local Cloud Run could not be started or kept
        ├── CloudError           Google's APIs refused or did not answer
        └── RunFolderError       a run folder that cannot be read or written
            └── FormatVersionError   written by another version of the format

Every message is a printable sentence that says what is wrong, the value, and what to do. Code that handles an error
looks at its class and its `cure`, never at its text. Only `lt.py` prints errors, and only `lt.py` converts a class into
an exit code.
"""

from __future__ import annotations


class LoadTestError(Exception):
    """Base of all errors that this project raises on purpose; its text is a sentence for the user.

    Attributes:
        cure: the command that fixes the problem, shown separately from the sentence; "" if there is none.
    """

    def __init__(self, text: str = "", *, cure: str = "") -> None:
        super().__init__(text)
        self.cure = cure


class UsageError(LoadTestError):
    """The command line is wrong; nothing was started."""


class UnknownRunError(UsageError):
    """No recorded run has this name, or more than one run has it."""


class ObjectiveError(UsageError):
    """The objective cannot be parsed."""


class UnusableError(LoadTestError):
    """The tool, the machine or the target could not be used."""


class TargetError(UnusableError):
    """The service under test does not answer, or its answer cannot be used."""


class FleetError(UnusableError):
    """The Locust processes could not be started or kept."""


class EmulatorError(UnusableError):
    """The local Cloud Run could not be started or kept."""


class CloudError(UnusableError):
    """Google's APIs refused or did not answer."""


class RunFolderError(UnusableError):
    """The run folder cannot be read or written."""


class FormatVersionError(RunFolderError):
    """The run folder was written by another version of the format."""
