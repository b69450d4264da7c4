"""Time logscan and what administrators use beside it on the same logs, in turn, on this machine.

    python tests/bench/run.py                     # a made log of a million lines, five rounds
    python tests/bench/run.py --lines 5000000 --runs 7 --write
    python tests/bench/run.py --log maillog --only logscan,pflogsumm

Every round runs every command once (A B C, A B C, ...), so that a busy moment of the machine falls on all
of them. Time is the wall clock around the process; CPU time and peak memory are the kernel's account of it
and of the children it waited for (wait4). Peak memory of several processes is that of the largest one, and
never less than what this runner itself has, which shows as "under".

A tool that is not installed is a line in the table. The tools do not do the same work: wc and rg are what
reading the bytes costs, lnav indexes, pflogsumm and logwatch make a report of Postfix alone.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RESULTS = HERE / "RESULTS.md"
NEEDLE = "DKIM-Signature field added"


@dataclass(slots=True)
class Tool:
    """One command line of the table.

    run: a shell command with LOG for the file's name (logwatch: its directory). shown: as the table says it.
    problem: why it cannot run, or "". times, cpu: seconds per round; peak: bytes, the highest of all rounds.
    """

    name: str
    shown: str
    run: str
    problem: str = ""
    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: int = 0


def logscan_command() -> str | None:
    """The installed `logscan` beside this interpreter, else the one of the tree, else None."""
    beside = Path(sys.executable).with_name("logscan")
    if beside.exists():
        return shlex.quote(str(beside))
    if (ROOT / "logscan" / "cli.py").exists():
        return f"{shlex.quote(sys.executable)} -c 'from logscan.cli import main; main()'"
    found = shutil.which("logscan")
    return shlex.quote(found) if found else None


def output_of(command: str) -> str:
    """First line that a command prints, or "" where it fails."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True, errors="replace", cwd=ROOT)
    lines = done.stdout.strip().splitlines()
    return lines[0].strip() if lines and not done.returncode else ""


def tools(packed: bool) -> Iterator[Tool]:
    """The command lines for a plain log, or for one packed with gzip."""
    logscan = logscan_command()
    usage = ""
    if logscan:
        command = f"{logscan} report --help"
        shown = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
        usage = shown.stdout + shown.stderr
    missing = "" if "--format" in usage else "not installed"
    command = "report LOG --format json"
    yield Tool("logscan, one process", f"logscan {command}", f"{logscan} {command}", missing)
    peers = [
        ("pflogsumm", "pflogsumm LOG", "gzip -dc LOG | pflogsumm"),
        ("logwatch", "logwatch --service postfix --range all --logdir DIR --output stdout --format text", ""),
        ("lnav", "lnav -n -c ';SELECT count(*) FROM syslog_log' LOG", None),
        ("rg", f"rg -c '{NEEDLE}' LOG", f"rg -z -c '{NEEDLE}' LOG"),
        ("wc", "wc -l LOG", "gzip -dc LOG | wc -l"),
    ]
    for name, plain, gz in peers:
        command = plain if not packed or gz is None else gz
        problem = "" if shutil.which(name) else "not installed"
        if not command:
            # logwatch reads packed files only as archives of a month that it chooses by their dates.
            command, problem = plain, problem or "does not read one packed file by name"
        yield Tool(name, command, command, problem)


def measure(tool: Tool, log: Path, logdir: Path) -> None:
    """Run the command once and add what it took. A failure is written down as the tool's problem."""
    # The shell becomes the command where there is no pipe, and adds nothing.
    command = tool.run if "|" in tool.run else f"exec {tool.run}"
    command = command.replace("LOG", shlex.quote(str(log))).replace("DIR", shlex.quote(str(logdir)))
    begin = time.perf_counter()
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tool.problem = f"failed with status {process.returncode}"
        return
    tool.times.append(elapsed)
    tool.cpu.append(usage.ru_utime + usage.ru_stime)
    tool.peak = max(tool.peak, usage.ru_maxrss * 1024)


def race(log: Path, packed: bool, lines: int, runs: int, only: set[str], scratch: Path) -> str:
    """All rounds on one log: returns the table as markdown."""
    entrants = [tool for tool in tools(packed) if not only or tool.name.split(",")[0] in only]
    logdir = scratch / f"logwatch-{log.name}"
    logdir.mkdir(exist_ok=True)
    link = logdir / "mail.log"
    if not link.exists():
        link.symlink_to(log.resolve())
    with log.open("rb") as stream:  # into the page cache, so that the first command is not the one that pays
        while stream.read(1 << 22):
            pass
    floor = Tool("nothing", "true", "true")
    measure(floor, log, logdir)
    for _ in range(runs):
        for tool in entrants:
            if not tool.problem:
                measure(tool, log, logdir)
    rows = [
        "| tool | command | time | CPU | peak memory | lines per second | time, logscan = 1 |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    base = entrants[0].times if entrants and entrants[0].name.startswith("logscan") else []
    for tool in entrants:
        shown = tool.shown.replace("|", "\\|")
        if tool.problem or not tool.times:
            rows.append(f"| {tool.name} | `{shown}` | {tool.problem or 'not run'} | | | | |")
            continue
        seconds, spread = statistics.median(tool.times), max(tool.times) - min(tool.times)
        # Ratios within a round, then their median: what slowed the whole round cancels out.
        ratio = f"{statistics.median(map(float.__truediv__, tool.times, base)):.2f}" if base else ""
        under = "under " if tool.peak <= floor.peak + 1_000_000 else ""
        rows.append(
            f"| {tool.name} | `{shown}` | {seconds:.2f} s ± {spread / 2:.2f} |"
            f" {statistics.median(tool.cpu):.2f} s | {under}{tool.peak / 1e6:.0f} MB |"
            f" {lines / seconds:,.0f} | {ratio} |"
        )
    return "\n".join(rows)


def machine() -> str:
    """CPU, cores, memory, system: what the numbers depend on."""
    model = platform.processor() or platform.machine()
    memory = ""
    for name, word in (("/proc/cpuinfo", "model name"), ("/proc/meminfo", "MemTotal")):
        if Path(name).exists():
            for line in Path(name).read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith(word):
                    value = line.split(":", 1)[1].strip()
                    model, memory = (value, memory) if word == "model name" else (model, value)
                    break
    if memory.endswith("kB"):
        memory = f"{int(memory.split()[0]) / 1e6:.0f} GB"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, {memory} memory, {platform.system()} {platform.release()}"


def versions() -> list[str]:
    """A line per tool; what is not installed says so."""
    logscan = logscan_command()
    found = [
        ("Python", platform.python_version()),
        ("logscan", output_of(f"{logscan} --version") if logscan else ""),
    ]
    for name in ("pflogsumm", "logwatch", "lnav", "rg", "wc"):
        found.append((name, output_of(f"{name} --version") if shutil.which(name) else ""))
    return [f"- {name}: {text or 'not installed'}" for name, text in found]


def differences(log: Path, truth: dict[str, Any]) -> str:
    """One line: does logscan's report count what the generator made?"""
    logscan = logscan_command()
    done = subprocess.run(
        f"{logscan} report {shlex.quote(str(log))} --format json --timezone UTC",
        shell=True,
        capture_output=True,
        cwd=ROOT,
    )
    try:
        totals = json.loads(done.stdout)["totals"]
    except (ValueError, KeyError, TypeError):
        return "Totals against the truth: no report to compare."
    wrong = []
    for name, expected in truth["totals"].items():
        got = totals.get(name)
        pairs = expected.items() if isinstance(expected, dict) else [("", expected)]
        for key, value in pairs:
            have = (got or {}).get(key) if isinstance(expected, dict) else got
            if have != value:
                wrong.append(f"{name}{'.' * bool(key)}{key} {have}, made {value}")
    return f"Totals against the truth: {'; '.join(wrong) if wrong else 'equal'}."


def make_log(scratch: Path, lines: int, seed: int, form: str) -> tuple[Path, dict[str, Any]]:
    # Another process makes it: the peak memory of ours is the least that wait4 can report for a child.
    log, truth = scratch / f"{form}.log", scratch / f"{form}.json"
    command = [sys.executable, str(HERE / "generate.py"), "--lines", str(lines), "--seed", str(seed)]
    subprocess.run([*command, "--form", form, "--output", str(log), "--truth", str(truth)], check=True)
    return log, json.loads(truth.read_text(encoding="utf-8"))


def pack(log: Path, scratch: Path) -> Path:
    target = scratch / f"{log.name}.gz"
    with log.open("rb") as source, gzip.open(target, "wb", compresslevel=6) as sink:
        shutil.copyfileobj(source, sink, 1 << 22)
    return target


def report(args: argparse.Namespace, scratch: Path) -> Iterator[str]:
    """The page in pieces, in order, as they become known."""
    only = set(filter(None, (args.only or "").split(",")))
    logs: list[tuple[Path, dict[str, Any] | None]] = [(Path(name), None) for name in args.log]
    if not logs:
        logs = [make_log(scratch, args.lines, args.seed, form) for form in args.form]
    yield "# Timings\n"
    yield f"Machine: {machine()}.\n"
    yield "\n".join(versions()) + "\n"
    yield (
        f"{args.runs} runs of each command, in turn. Time and CPU are medians (± half the spread), peak"
        " memory is the highest of one process, the last column the median of the ratios within a round.\n"
    )
    for log, truth in logs:
        with log.open("rb") as stream:
            lines = sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 22), b""))
        size = log.stat().st_size
        yield f"## {log.name}: {lines:,} lines, {size / 1e6:.0f} MB\n"
        if truth is not None:
            yield f"Made by `generate.py --lines {args.lines} --seed {args.seed} --form {log.stem}`.\n"
        yield race(log, False, lines, args.runs, only, scratch) + "\n"
        if truth is not None and logscan_command():
            yield differences(log, truth) + "\n"
        if not args.plain_only:
            packed = pack(log, scratch)
            yield f"## {packed.name}: {packed.stat().st_size / 1e6:.0f} MB\n"
            yield race(packed, True, lines, args.runs, only, scratch) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Time logscan and its neighbours on the same logs.")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--form", action="append", choices=("traditional", "rfc3339"))
    parser.add_argument("--log", action="append", default=[], help="an existing log instead of a made one")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", help="comma-separated names: logscan,pflogsumm,logwatch,lnav,rg,wc")
    parser.add_argument("--plain-only", action="store_true", help="leave out the packed log")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name} too")
    args = parser.parse_args()
    args.form = args.form or ["traditional"]
    with tempfile.TemporaryDirectory(prefix="logscan-bench-") as scratch:
        pieces = []
        for piece in report(args, Path(scratch)):
            print(piece, flush=True)
            pieces.append(piece)
    if args.write:
        RESULTS.write_text("\n".join(pieces), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
