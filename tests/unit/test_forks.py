"""gRPC keeps out of forks: it is told before it is imported, whichever of ours comes first."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

CODE = """
import importlib, os, sys

class Looks:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc":
            print(os.environ.get("GRPC_ENABLE_FORK_SUPPORT"))

sys.meta_path.insert(0, Looks())
importlib.import_module(sys.argv[1])
"""


@pytest.mark.parametrize("module", ["storage.embedded.milvus", "storage.milvus", "upnext.up"])
def test_grpc_is_told_before_it_is_imported(module: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", CODE, module], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "false\n"
