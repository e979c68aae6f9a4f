"""The network and sockets of the machine: no packet leaves, and the servers that wait for one count none."""

import pytest

REFUSED = "PermissionError"

ATTACKS = {
    "tcp to this machine": ("import socket; socket.create_connection(('127.0.0.1', <TCP>), 2)", REFUSED),
    "tcp to another machine": ("import socket; socket.create_connection(('192.0.2.1', 80), 2)", REFUSED),
    "tcp over IPv6": ("import socket; socket.socket(socket.AF_INET6).connect(('::1', <TCP>))", REFUSED),
    "udp": ("import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', <UDP>))", REFUSED),
    "a raw socket": ("import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)", REFUSED),
    "a packet socket": ("import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", REFUSED),
    "a netlink socket": ("import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", REFUSED),
    "a socket to the hypervisor": ("import socket; socket.socket(socket.AF_VSOCK)", REFUSED),
    "a socket of the kernel's ciphers": ("import socket; socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)", REFUSED),
    "a bluetooth socket": ("import socket; socket.socket(31, socket.SOCK_RAW, 1)", REFUSED),
    "a server of its own": ("import socket; socket.create_server(('127.0.0.1', 0))", REFUSED),
    "dns": ("import socket; socket.getaddrinfo('example.org', 80)", "gaierror"),
    "http": ("import urllib.request; urllib.request.urlopen('http://127.0.0.1:<TCP>/', timeout=2)", "URLError"),
    "a unix socket of the host": ("import socket; socket.socket(socket.AF_UNIX).connect(<UNIX>)", "FileNotFoundError"),
    "an abstract socket of the host": (
        "import socket; socket.socket(socket.AF_UNIX).connect(<ABSTRACT>)",
        "ConnectionRefusedError",
    ),
    "another program to connect": (
        """
import subprocess, sys
code = "import socket; socket.create_connection(('127.0.0.1', <TCP>), 2)"
done = subprocess.run([sys.executable, '-I', '-S', '-c', code], capture_output=True)
assert done.returncode == 0, done
""",
        "AssertionError",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_nobody_is_reached(name, attack):
    source, error = ATTACKS[name]
    assert attack(source, solution="\n\ndef answer(n):\n    return 'reached'\n", cpu_seconds=5) == f"raised {error}"
