"""What a child does to itself between fork and exec: whom it runs as, and when it must die.

PostgreSQL refuses to run as root, so as root it runs as `nobody`. Its program and its data may lie
below folders that only root may enter; instead of opening those to everybody, the child keeps one
capability, to pass through folders (capabilities(7): permitted and inheritable sets survive
setuid with KEEP_CAPS, the ambient set survives exec). Programs that ask access(2) first, as initdb
does, hear of it only under NO_SETUID_FIXUP.
"""

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
SECBIT_KEEP_CAPS = 1 << 4
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522

# Loaded here: a forked child of a process with threads must not load libraries.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def unprivileged_account() -> pwd.struct_passwd | None:
    """The account for servers that refuse root; None when we are not root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def die_with_parent(wish: signal.Signals, parent: int) -> None:
    """Ask the kernel to send this process `wish` when `parent` ends; on Linux only.

    The kernel watches the parent's thread: fork children from a thread that lives on.
    """
    if _LIBC is None:
        return
    _LIBC.prctl(PR_SET_PDEATHSIG, wish, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def child_setup(
    death_signal: signal.Signals, account: pwd.struct_passwd | None = None
) -> Callable[[], None]:
    """What a server's process does before it becomes the server, as `preexec_fn`.

    A shell starts background jobs with SIGINT ignored; servers that stop on it need it back.
    """
    parent = os.getpid()
    capability = _held_capability() if account else None

    def setup() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if account is not None:
            _become(account, capability)
        # Last: changing the user clears the parent-death signal.
        die_with_parent(death_signal, parent)

    return setup


def _become(account: pwd.struct_passwd, capability: int | None) -> None:
    if _LIBC is not None and capability is not None:
        _LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # Refused to a root without CAP_SETPCAP, whose folders must then be open to `nobody`.
        _LIBC.prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if _LIBC is not None and capability is not None:
        mask = 1 << capability
        data = (_Data * 2)(_Data(mask, mask, mask), _Data(0, 0, 0))
        _LIBC.capset(ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), data)
        _LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _held_capability() -> int | None:
    """The least of the capabilities that pass through closed folders, of those we have.

    Containers usually grant the one that also writes; a bare root has both.
    """
    if _LIBC is None:
        return None
    lines = Path("/proc/self/status").read_text().splitlines()
    permitted = next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm:"))
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        if permitted >> capability & 1:
            return capability
    return None
