"""The system call filter of tested programs, compiled by libseccomp into instructions that any process can load.

Refused with EPERM is what a program that computes needs for nothing and what widens the kernel's surface: other
processes' memory, mounts and namespaces, keys, bpf, io_uring, performance counters, modules, clocks, sockets other than
AF_UNIX (vsock and netlink among them, which no network namespace holds). With ENOSYS, as if the kernel were older:
memory that no limit counts (System V and POSIX queues, memfd), clone3 (its flags lie in memory, where no filter reads;
the C library then uses clone) and every call newer than Linux 5.17, of which this list knows nothing.

libseccomp is loaded by its C interface: its three calls are all that is needed, and it comes with Debian's apt.
"""

import ctypes
import errno
import os
import socket
from typing import Any

_REFUSED = """
ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp
mount umount umount2 pivot_root chroot fsopen fsmount fsconfig fspick move_mount open_tree mount_setattr
unshare setns swapon swapoff quotactl quotactl_fd acct
bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
keyctl add_key request_key
kexec_load kexec_file_load reboot init_module finit_module delete_module
settimeofday stime clock_settime clock_adjtime adjtimex sethostname setdomainname syslog
iopl ioperm modify_ldt personality vhangup lookup_dcookie
name_to_handle_at open_by_handle_at fanotify_init fanotify_mark mbind set_mempolicy migrate_pages move_pages
"""
_ABSENT = """
shmget shmat shmctl shmdt semget semop semtimedop semctl msgget msgsnd msgrcv msgctl
mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
memfd_create memfd_secret clone3
"""
NEWER = range(451, 512)
"""Numbers of system calls since Linux 5.17, the same on every machine since 2019."""
NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
"""Linux's CLONE_NEW flags that clone takes."""
TERMINAL_INPUT = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: ioctls that type into a terminal."""
MACHINES = ("x86_64", "aarch64")
"""Where clone's flags are its first argument and sockets have calls of their own."""

_LIBRARY = "libseccomp.so.2"
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NOT_EQUAL, _MASKED_EQUAL = 1, 7


class FilterError(Exception):
    """No filter can be had on this machine; the message says why."""


class _Comparison(ctypes.Structure):
    """libseccomp's `struct scmp_arg_cmp`."""

    _fields_ = (("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class _Builder:
    """Collects rules; a context manager."""

    def __init__(self) -> None:
        try:
            self._library: Any = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise FilterError(f"{error}: install libseccomp (apt install libseccomp2)") from None
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(_ALLOW))
        if not self._context:
            raise FilterError("libseccomp makes no filter for this kind of machine")

    def __enter__(self) -> "_Builder":
        return self

    def __exit__(self, *_: object) -> None:
        self._library.seccomp_release(self._context)

    def resolve(self, name: str) -> int | None:
        """Return a call's number, None where this kind of machine has no such call."""
        number = int(self._library.seccomp_syscall_resolve_name(name.encode()))
        return number if number >= 0 else None

    def refuse(self, number: int, error: int, *comparisons: tuple[int, int, int, int]) -> None:
        """Answer a call with `error` where all comparisons (argument, operator, a, b) hold."""
        made = (_Comparison * len(comparisons))(*(_Comparison(*one) for one in comparisons))
        failed = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(_ERRNO | error), number, len(comparisons), made
        )
        if failed:
            raise FilterError(f"libseccomp takes no rule for system call {number}: {os.strerror(-failed)}")

    def export(self) -> bytes:
        """Return the instructions as the kernel reads them."""
        descriptor = os.memfd_create("filter")
        try:
            if failed := self._library.seccomp_export_bpf(self._context, descriptor):
                raise FilterError(f"libseccomp wrote no filter: {os.strerror(-failed)}")
            return os.pread(descriptor, 2**20, 0)
        finally:
            os.close(descriptor)


def build_filter() -> bytes:
    """Return the filter's instructions for this machine; raises FilterError saying why there is none."""
    if os.uname().machine not in MACHINES:
        raise FilterError(f"the list of system calls is for {' and '.join(MACHINES)}, not {os.uname().machine}")
    with _Builder() as builder:
        for names, error in ((_REFUSED, errno.EPERM), (_ABSENT, errno.ENOSYS)):
            for number in map(builder.resolve, names.split()):
                if number is not None:
                    builder.refuse(number, error)
        known = {builder.resolve(name) for name in _ABSENT.split()}
        for number in sorted(set(NEWER) - known):
            builder.refuse(number, errno.ENOSYS)
        for name in ("socket", "socketpair"):
            _refuse_where(builder, name, (0, _NOT_EQUAL, socket.AF_UNIX, 0))
        for flag in NAMESPACES:
            _refuse_where(builder, "clone", (0, _MASKED_EQUAL, flag, flag))
        for request in TERMINAL_INPUT:
            _refuse_where(builder, "ioctl", (1, _MASKED_EQUAL, 0xFFFFFFFF, request))
        return builder.export()


def _refuse_where(builder: _Builder, name: str, comparison: tuple[int, int, int, int]) -> None:
    number = builder.resolve(name)
    if number is None:
        raise FilterError(f"this kind of machine has no system call {name}")
    builder.refuse(number, errno.EPERM, comparison)
