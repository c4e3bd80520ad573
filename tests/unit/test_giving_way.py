"""A process that gives way does so with the threads that it has."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

PROGRAM = """
import os, threading
from upnext.jobs.child import give_way_altogether
until = threading.Event()
for _ in range(3):
    threading.Thread(target=until.wait, daemon=True).start()
give_way_altogether()
print(*[os.getpriority(os.PRIO_PROCESS, int(one)) for one in os.listdir("/proc/self/task")])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities on Linux")
def test_every_thread_has_the_lowest_priority() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)  # noqa: S603
    priorities = told.stdout.split()
    assert len(priorities) >= 4
    assert set(priorities) == {b"19"}
