"""Files and secrets of the machine: each attack ends in the error that the empty view gives, not in its own success."""

import pytest

NOT_THERE, READ_ONLY, REFUSED, NOT_FOUND = "FileNotFoundError", "OSError", "PermissionError", "LookupError"

ATTACKS = {
    "read the project": ("open(<PROJECT>)", NOT_THERE),
    "read a file that all may read": ("open(<FILE>)", NOT_THERE),
    "read a file at home": ("open(<HOME_FILE>)", NOT_THERE),
    "read the users": ("open('/etc/passwd')", NOT_THERE),
    "read the passwords": ("open('/etc/shadow')", NOT_THERE),
    "read the environment": ("import os; os.environ['CANARY_TOKEN']", "KeyError"),
    "read the environment of process 1": ("open('/proc/1/environ', 'rb').read()", NOT_THERE),
    "read its own first environment": ("open('/proc/self/environ', 'rb').read()", NOT_THERE),
    "read the environment of a process of the host": ("open('/proc/<PID>/environ', 'rb')", NOT_THERE),
    "read the memory of the process that started it": (
        "import os; open(f'/proc/{os.getppid()}/mem', 'rb')",
        NOT_THERE,
    ),
    "read its own memory as a file": ("open('/proc/self/mem', 'rb')", NOT_THERE),
    "leave by /proc/self/root": ("open('/proc/self/' 'root/etc/passwd')", NOT_THERE),
    "leave by /proc/self/cwd": ("open('/proc/self/cwd/../etc/passwd')", NOT_THERE),
    "leave by dots": ("open('../../../../../../etc/passwd')", NOT_THERE),
    "leave by a symbolic link": ("import os; os.symlink(<FILE>, '/tmp/link'); open('/tmp/link')", NOT_THERE),
    "leave by a link to the root": ("import os; os.symlink('/', '/tmp/l'); open('/tmp/l' + <FILE>)", NOT_THERE),
    "hard link a file of the host": ("import os; os.link(<FILE>, '/tmp/link')", NOT_THERE),
    "hard link the warden": (
        "import os; os.link('/inside/mixlab/evaluation/checker.py', '/tmp/checker.py')",
        READ_ONLY,
    ),
    "leave by an open descriptor": (
        """
import os
for descriptor in range(1024):
    for path in ('etc/passwd', '../etc/passwd', '../../../etc/passwd', <FILE>[1:]):
        try:
            os.open(path, os.O_RDONLY, dir_fd=descriptor)
        except OSError:
            continue
        assert False, descriptor
raise LookupError
""",
        NOT_FOUND,
    ),
    "find more open descriptors than its own": (
        """
import os, resource
found = []
for descriptor in range(resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 100):
    try:
        os.fstat(descriptor)
    except OSError:
        continue
    found.append(descriptor)
raise LookupError if found == [0, 1, 2, 3, 4] else ValueError(found)
""",
        NOT_FOUND,
    ),
    "look for the secret everywhere": (
        """
import os, sys
for folder, folders, files in os.walk('/'):
    if folder in ('/usr', '/lib', '/lib64', '/dev', sys.base_prefix):
        folders[:] = files[:] = []
    for name in files:
        try:
            with open(os.path.join(folder, name), 'rb') as stream:
                assert <SECRET>.encode() not in stream.read(2 ** 20)
        except OSError:
            pass
    if any('canary' in name for name in (*folders, *files)):
        raise AssertionError(folder)
raise LookupError
""",
        NOT_FOUND,
    ),
    "change root": ("import os; os.mkdir('/tmp/a'); os.chroot('/tmp/a')", REFUSED),
    "write into the Python installation": ("import os; open(os.__file__, 'a')", REFUSED),
    "write into the checker": ("open('/inside/mixlab/evaluation/checker.py', 'w')", READ_ONLY),
    "write beside the checker": ("open('/inside/mixlab/evaluation/json.py', 'w')", READ_ONLY),
    "write into shared memory": ("open('/dev/shm/x', 'w')", READ_ONLY),
    "make a file for the disk": ("import os; os.mknod('/tmp/disk', 0o60600, os.makedev(254, 0))", REFUSED),
    "read the kernel's memory": ("open('/dev/mem', 'rb')", NOT_THERE),
    "become root again": ("import os; os.setuid(0)", REFUSED),
    "set a user bit and run it": (
        "import os, shutil, sys; os.chmod(shutil.copy('/dev/null', '/tmp/x'), 0o4755); os.setresuid(0, 0, 0)",
        REFUSED,
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_files_of_the_machine_are_out_of_reach(name, attack):
    source, error = ATTACKS[name]
    assert attack(source, cpu_seconds=20) == f"raised {error}"
