"""A cluster of real servers for the tests, without replicas."""

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from storage.embedded.process import ChildProcess
from storage.embedded.valkey import _program
from tests.polling import eventually
from tests.ports import free_port


class Node(ChildProcess):
    """One server of a cluster, in memory."""

    def __init__(self, folder: Path, slots: tuple[int, int]) -> None:
        folder.mkdir()
        self.port, self.bus_port = free_port(), free_port()
        self.slots = slots
        self._folder = folder
        super().__init__("valkey", folder / "log")

    def launch(self) -> None:
        """Start it, as what it was before."""
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "cluster-port": str(self.bus_port),
            "cluster-enabled": "yes",
            "cluster-require-full-coverage": "no",
            "cluster-node-timeout": "5000",  # a node of a busy machine is not taken for dead
            "dir": str(self._folder),
            "save": "",
            "appendonly": "no",
        }
        self.spawn([str(_program()), *(part for k, v in options.items() for part in (f"--{k}", v))])

    def ask(self, *command: str | int) -> bytes:
        """What it answers to a command."""
        with redis.Redis(port=self.port, socket_timeout=10) as client:
            answer: bytes = client.execute_command(*command)
        return answer

    def answers(self) -> bool:
        """Whether it takes commands."""
        try:
            return bool(self.ask("PING"))
        except redis.RedisError:
            return False

    def has(self, key: str) -> bool:
        """Whether the key's slot was given to it."""
        return self.slots[0] <= key_slot(key.encode()) <= self.slots[1]

    def kill(self) -> None:
        """End it without a word."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Cluster:
    """Three nodes with a third of the slots each."""

    def __init__(self, folder: Path, size: int = 3) -> None:
        ends = [REDIS_CLUSTER_HASH_SLOTS * at // size for at in range(size + 1)]
        self.nodes = [Node(folder / str(at), (ends[at], ends[at + 1] - 1)) for at in range(size)]

    @property
    def url(self) -> str:
        """It names two of them."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])
        return f"redis+cluster://{hosts}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes:
                node.launch()
                stack.callback(node.stop)
            for node in self.nodes:
                eventually(node.answers, seconds=30)
            first = self.nodes[0]
            for node in self.nodes:
                node.ask("CLUSTER", "ADDSLOTSRANGE", *node.slots)
                first.ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
            eventually(self.agrees, seconds=60)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def agrees(self) -> bool:
        """Whether every node knows who has which slot, and takes commands."""
        return all(_agrees(node.ask("CLUSTER", "INFO")) for node in self.nodes)

    def node_of(self, key: str) -> Node:
        """The node that the key's slot was given to."""
        return next(node for node in self.nodes if node.has(key))


def _agrees(told: bytes) -> bool:
    facts = dict(line.split(":", 1) for line in told.decode().splitlines() if ":" in line)
    whole = facts["cluster_slots_ok"] == str(REDIS_CLUSTER_HASH_SLOTS)
    return whole and facts["cluster_state"] == "ok"
