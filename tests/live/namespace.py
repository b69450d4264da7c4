"""A private set of mounts, host name, processes and loopback addresses for the daemons.

The machine's own /etc/postfix, /dev/log, ports and services are never touched: inside, our directories lie
over them. The namespace and everything that runs in it ends when `close` is called, or when we die.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
INIT = Path(__file__).with_name("namespace_init.py")


class Namespace:
    """mounts: (directory or file under root, path that it covers). addresses: IPv4, put on lo."""

    def __init__(self, root: Path, hostname: str, mounts: Sequence[tuple[str, str]],
                 addresses: Sequence[str]):
        (root / "mounts").write_text("".join(f"{inside}\t{outside}\n" for inside, outside in mounts))
        command = ["unshare", "--mount", "--uts", "--net", "--ipc", "--pid", "--fork", "--mount-proc",
                   "--propagation", "private", sys.executable, str(INIT), str(root), hostname, *addresses]
        self._unshare = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._unshare.stdout is not None
        if self._unshare.stdout.readline() != b"ready\n":
            self.close()
            raise RuntimeError("the private namespace did not come up")
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()
        self.init_pid = int(children[0])
        self._net = os.open(f"/proc/{self.init_pid}/ns/net", os.O_RDONLY)

    def argv(self, *command: str) -> list[str]:
        """The command, to be run inside."""
        # Outer shells may carry a Python environment or a proxy that no daemon should see.
        env = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"]
        enter = ["nsenter", "-t", str(self.init_pid), "-m", "-u", "-n", "-i", "-p", "--wd=/"]
        return [*enter, *env, *command]

    def run(self, *command: str, stdin: bytes = b"",
            check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run to its end inside; both outputs are kept."""
        done = subprocess.run(self.argv(*command), input=stdin, capture_output=True, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{command}: status {done.returncode}: {done.stderr!r} {done.stdout!r}")
        return done

    def popen(self, *command: str) -> subprocess.Popen[bytes]:
        """Start inside, in the foreground of its own; the caller waits for it."""
        return subprocess.Popen(self.argv(*command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def kill(self, pid: int, name: str) -> None:
        """Send the signal (`TERM`, `KILL`, `STOP`, …) to a process, by its number inside."""
        self.run("/bin/kill", f"-{name}", str(pid), check=False)

    def pids(self, name: str) -> list[int]:
        """Numbers inside of the living processes of this name, oldest first."""
        space = Path(f"/proc/{self.init_pid}/ns/pid").readlink()
        found = []
        for process in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                if process.name.isdigit() and (process / "ns/pid").readlink() == space:
                    lines = (process / "status").read_text().splitlines()
                    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
                    if status["Name"] == name and not status["State"].startswith("Z"):
                        found.append(int(status["NSpid"].split()[-1]))
        return sorted(found)

    @contextmanager
    def network(self) -> Iterator[None]:
        """Sockets made by this thread in the block belong to the inside, and stay there afterwards."""
        with open(f"/proc/self/task/{threading.get_native_id()}/ns/net") as home:  # noqa: PTH123
            if _libc.setns(self._net, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                if _libc.setns(home.fileno(), CLONE_NEWNET):
                    os._exit(70)  # a thread lost in the wrong network must not go on

    def socket(self) -> socket.socket:
        """A TCP socket of the inside."""
        with self.network():
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def close(self) -> None:
        """End every process inside and wait until they are gone."""
        if self._unshare.stdin:
            self._unshare.stdin.close()
        try:
            self._unshare.wait(10)
        except subprocess.TimeoutExpired:
            self._unshare.kill()
            self._unshare.wait()
        if self._unshare.stdout:
            self._unshare.stdout.close()
        if hasattr(self, "_net"):
            os.close(self._net)


def missing() -> str | None:
    """Why no live test can run here, or None."""
    programs = ("postfix", "opendkim", "opendkim-genkey", "rsyslogd", "logrotate")
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if any(shutil.which(program, path=path) is None for program in programs):
        return "postfix, opendkim, rsyslogd or logrotate not installed"
    if os.geteuid():
        return "not root"
    probe = subprocess.run(["unshare", "--mount", "--uts", "--net", "--ipc", "--pid", "--fork", "true"],
                           capture_output=True)
    return "private namespaces are not allowed here" if probe.returncode else None
