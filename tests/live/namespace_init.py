"""First process of the private namespace: mounts, addresses, then reaps until its standard input closes.

Run by `namespace.py` as ``unshare … python namespace_init.py ROOT HOSTNAME ADDRESS…``; prints ``ready``.
Needs the standard library only. When it ends, the kernel kills every process of the namespace.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

SIOCSIFADDR, SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8916, 0x8913, 0x8914, 1
DEVICES = ("null", "zero", "full", "random", "urandom")


def bind(source: Path, target: str) -> None:
    subprocess.run(["mount", "--bind", str(source), target], check=True)


def mounts(root: Path) -> None:
    """Put ROOT's directories over the machine's, seen from inside only."""
    old = root / "olddev"
    old.mkdir()
    bind(Path("/dev"), str(old))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/dev"], check=True)
    for name in DEVICES:
        Path("/dev", name).touch()
        bind(old / name, f"/dev/{name}")
    Path("/dev/fd").symlink_to("/proc/self/fd")
    Path("/dev/shm").mkdir(mode=0o1777)
    subprocess.run(["umount", "-l", str(old)], check=True)
    for line in (root / "mounts").read_text().splitlines():
        inside, outside = line.split("\t")
        bind(root / inside, outside)


def addresses(wanted: list[str]) -> None:
    """Bring up lo and give it the addresses, as aliases lo:1, lo:2, …"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(sock, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags | IFF_UP, b""))
        for number, address in enumerate(wanted, 1):
            inet = struct.pack("HH4s8s", socket.AF_INET, 0, socket.inet_aton(address), b"")
            fcntl.ioctl(sock, SIOCSIFADDR, struct.pack("16s16s8s", b"lo:%d" % number, inet, b""))


def reap() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(0.1)


def main() -> None:
    root, hostname, *wanted = sys.argv[1:]
    socket.sethostname(hostname)
    mounts(Path(root))
    addresses(wanted)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Thread(target=reap, daemon=True).start()
    sys.stdin.read()


main()
