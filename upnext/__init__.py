"""The command line and the processes it composes."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - for those who run the source without installing it
    sys.exit(
        f"Upnext needs Python 3.11 or newer, this is {sys.version.split()[0]}: "
        "make the virtual environment with a newer one."
    )
