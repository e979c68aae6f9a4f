"""System calls made directly: the filter answers, whatever the kernel would have said."""

import pytest

from mixlab.config.scorers import SandboxLimits
from mixlab.evaluation import system_calls

REFUSED, ABSENT = "raised PermissionError", "raised OSError"
CALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
{before}
if libc.syscall({number}, {arguments}) >= 0:
    raise RuntimeError('it was done')
raise OSError(ctypes.get_errno(), 'refused')
"""
CLONE_NEWUSER, SIGCHLD = 0x10000000, 17

CALLS = {
    "ptrace": "16, os.getppid(), 0, 0",
    "process_vm_readv": "os.getppid(), 0, 0, 0, 0, 0",
    "process_vm_writev": "os.getppid(), 0, 0, 0, 0, 0",
    "pidfd_getfd": "0, 1, 0",
    "kcmp": "os.getpid(), os.getpid(), 0, 0, 0",
    "mount": "b'none', b'/tmp', b'tmpfs', 0, None",
    "umount2": "b'/tmp', 2",
    "pivot_root": "b'/tmp', b'/tmp'",
    "fsopen": "b'tmpfs', 0",
    "open_tree": "-100, b'/', 1",
    "unshare": f"{CLONE_NEWUSER}",
    "setns": "0, 0",
    "clone": f"{CLONE_NEWUSER | SIGCHLD}, 0, 0, 0, 0",
    "bpf": "0, 0, 0",
    "perf_event_open": "0, 0, -1, -1, 0",
    "userfaultfd": "1",
    "io_uring_setup": "1, 0",
    "keyctl": "0, -3, 1",
    "add_key": "b'user', b'x', b'x', 1, -3",
    "request_key": "b'user', b'x', None, -3",
    "kexec_load": "0, 0, 0, 0",
    "reboot": "0xfee1dead, 672274793, 0, 0",
    "swapon": "b'/tmp/x', 0",
    "init_module": "0, 0, b''",
    "finit_module": "0, b'', 0",
    "delete_module": "b'x', 0",
    "clock_settime": "0, 0",
    "sethostname": "b'x', 1",
    "syslog": "2, 0, 0",
    "personality": "0x40000",
    "name_to_handle_at": "-100, b'/tmp', 0, 0, 0",
    "open_by_handle_at": "0, 0, 0",
    "socket": "40, 1, 0",
}
GONE = {
    "clone3": "0, 0",
    "memfd_create": "b'x', 0",
    "memfd_secret": "0",
    "shmget": "0, 4096, 0o1600",
    "semget": "0, 1, 0o1600",
    "msgget": "0, 0o1600",
    "mq_open": "b'x', 66, 0o600, 0",
}


def call(name, arguments, before=""):
    with system_calls._Builder() as builder:
        number = builder.resolve(name)
    if number is None:
        pytest.skip(f"no {name} on this kind of machine")
    return CALL.format(number=number, arguments=arguments, before=before)


@pytest.mark.parametrize("name", CALLS)
def test_what_a_program_needs_for_nothing_is_refused(name, attack):
    assert attack(call(name, CALLS[name])) == REFUSED


@pytest.mark.parametrize("name", GONE)
def test_what_no_limit_counts_is_as_if_the_kernel_lacked_it(name, attack):
    assert attack(call(name, GONE[name])) == ABSENT


@pytest.mark.parametrize("number", [451, 463, 511])
def test_a_call_newer_than_the_list_is_as_if_the_kernel_lacked_it(number, attack):
    assert attack(CALL.format(number=number, arguments="0, 0, 0", before="")) == ABSENT


def test_calls_of_the_other_word_length_end_the_program(attack):
    if system_calls.os.uname().machine != "x86_64":
        pytest.skip("an attack with instructions of x86_64")
    # mov eax, 20 (getpid of 32 bits); int 0x80; ret
    code = "b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3'"
    source = f"""
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write({code})
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
    assert attack(source) == "killed SIGSYS"


def test_the_filter_cannot_be_taken_off(attack):
    before = "libc.prctl(22, 0, 0, 0, 0); libc.prctl(38, 0, 0, 0, 0)"
    assert attack(call("unshare", f"{CLONE_NEWUSER}", before)) == REFUSED


def test_what_ordinary_programs_do_is_allowed(box):
    source = """
import asyncio, concurrent.futures, os, random, subprocess, sys, tempfile, threading, time

async def wait():
    await asyncio.sleep(0)
    return 1

assert asyncio.run(wait()) == 1
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    assert sum(pool.map(abs, range(9))) == 36
assert subprocess.run([sys.executable, '-I', '-S', '-c', 'print(6 * 7)'], capture_output=True).stdout == b'42\\n'
with tempfile.TemporaryDirectory() as folder, open(folder + '/x', 'w') as stream:
    stream.write('x')
time.sleep(0.001); random.random(); os.cpu_count()
"""
    assert box.run(source, SandboxLimits(wall_seconds=20)).reason == "passed"
