"""Tell type checkers and editors what `__init__.py` imports when it is used."""

from .api import RecordedRun as RecordedRun
from .api import open_run as open_run
from .api import report as report
from .api import run as run
from .core.errors import (
    CloudError as CloudError,
)
from .core.errors import (
    EmulatorError as EmulatorError,
)
from .core.errors import (
    FleetError as FleetError,
)
from .core.errors import (
    FormatVersionError as FormatVersionError,
)
from .core.errors import (
    LoadTestError as LoadTestError,
)
from .core.errors import (
    ObjectiveError as ObjectiveError,
)
from .core.errors import (
    RunFolderError as RunFolderError,
)
from .core.errors import (
    TargetError as TargetError,
)
from .core.errors import (
    UnknownRunError as UnknownRunError,
)
from .core.errors import (
    UnusableError as UnusableError,
)
from .core.errors import (
    UsageError as UsageError,
)
from .users.fast_user import FastUser as FastUser
from .users.open_loop import OpenLoopUser as OpenLoopUser
from .users.pacing import spread_throughput as spread_throughput
from .users.rows import rows as rows
from .users.shapes import Burst as Burst
from .users.shapes import PlannedShape as PlannedShape
from .users.shapes import Ramp as Ramp
from .users.shapes import Staircase as Staircase

__version__: str
