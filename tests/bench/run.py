"""Time logscan and what administrators use beside it on the same logs, in turn, on this machine.

    python tests/bench/run.py                     # a made log of a million lines, five rounds
    python tests/bench/run.py --lines 5000000 --runs 7 --growth --write
    python tests/bench/run.py --log maillog --only logscan,pflogsumm

Every round runs every command once (A B C, A B C, ...), so that a busy moment of the machine falls on all
of them. Time is the wall clock around the process; CPU time and peak memory are the kernel's account of it
and of the children it waited for (wait4). Peak memory of several processes is that of the largest one, and
never less than what this runner itself has, which shows as "under".

A tool that is not installed is a line in the table. The tools do not do the same work: wc and rg are what
reading the bytes costs, lnav indexes, pflogsumm and logwatch's script make a report of Postfix alone.

--growth adds a table of how time and memory grow with the log, and what the report of its last hour takes.
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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RESULTS = HERE / "RESULTS.md"
COMPILED = ROOT / "build/compiled/.venv/bin/logscan"
NEEDLE = "DKIM-Signature field added"
# The script that reads the lines; logwatch itself chooses files by their age and filters them first.
LOGWATCH = [Path(folder) / "logwatch/scripts/services/postfix" for folder in ("/usr/share", "/usr/local/share")]
TRIES = 5
GROWTH = "100000,1000000,10000000"


@dataclass(slots=True)
class Tool:
    """One command line of the table.

    run: a shell command with LOG for the file's name. shown: as the table says it. problem: why it cannot
    run, or "". times, cpu: seconds per round; peak: bytes, the highest of all rounds.
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
    if (ROOT / "logscan" / "__main__.py").exists():
        return f"{shlex.quote(sys.executable)} -m logscan"
    found = shutil.which("logscan")
    return shlex.quote(found) if found else None


def output_of(command: str) -> str:
    """First line that a command prints, or "" where it fails."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True, errors="replace", cwd=ROOT)
    lines = done.stdout.strip().splitlines()
    return lines[0].strip() if lines and not done.returncode else ""


def problem_of(name: str) -> str:
    return "" if shutil.which(name) else "not installed"


def logscan_tools() -> Iterator[Tool]:
    """logscan itself and the compiled build that `make compiled` leaves beside the tree, with one process and two."""
    logscan = logscan_command()
    usage = ""
    if logscan:
        shown = subprocess.run(f"{logscan} report --help", shell=True, capture_output=True, text=True, cwd=ROOT)
        usage = shown.stdout + shown.stderr
    builds = (
        ("logscan", logscan, "" if "--format" in usage else "not installed"),
        ("logscan compiled", shlex.quote(str(COMPILED)), "" if COMPILED.exists() else "not built: make compiled"),
    )
    for name, program, problem in builds:
        for processes, jobs in (("one process", 1), ("two processes", 2)):
            command = f"report LOG --format json --jobs {jobs}"
            yield Tool(f"{name}, {processes}", f"logscan {command}", f"{program} {command}", problem)


def tools(packed: bool, dated: bool) -> Iterator[Tool]:
    """The command lines for a plain log, or for one packed with gzip. dated: its stamps are RFC 3339's."""
    yield from logscan_tools()
    script = next((path for path in LOGWATCH if path.exists()), None)
    logwatch = f"perl {script}"
    unread = "reads no RFC 3339 stamps" if dated else ""
    lnav = "lnav -n -c ';SELECT count(*) FROM syslog_log' LOG"
    peers = [
        ("pflogsumm", problem_of("pflogsumm"), "pflogsumm LOG", "gzip -dc LOG | pflogsumm"),
        ("logwatch", unread if script else "not installed", f"{logwatch} LOG", f"gzip -dc LOG | {logwatch}"),
        ("lnav", problem_of("lnav"), lnav, lnav),
        ("rg", problem_of("rg"), f"rg -c '{NEEDLE}' LOG", f"rg -z -c '{NEEDLE}' LOG"),
        ("wc", problem_of("wc"), "wc -l LOG", "gzip -dc LOG | wc -l"),
    ]
    for name, problem, plain, gz in peers:
        command = gz if packed else plain
        yield Tool(name, command, command, problem)


def environment(home: Path) -> dict[str, str]:
    """As on a host where it was installed: lnav keeps notes in HOME, and Python finds its modules as byte code."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "HOME": str(home)}


def measure(tool: Tool, log: Path, home: Path) -> None:
    """Run the command once and add what it took. A failure is written down as the tool's problem."""
    # The shell becomes the command where there is but one, and adds nothing.
    command = tool.run if "|" in tool.run or "&" in tool.run else f"exec {tool.run}"
    command = command.replace("LOG", shlex.quote(str(log)))
    begin = time.perf_counter()
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment(home),
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


def warm(log: Path) -> None:
    """Read it into the page cache, so that the first command is not the one that pays."""
    with log.open("rb") as stream:
        while stream.read(1 << 22):
            pass


def rounds(entrants: list[Tool], log: Path, runs: int, home: Path, steady: float | None = None) -> str:
    """Every command once, and again; says in a line what was left out.

    steady: the first command ends each round too, and a round in which its two times differ by more than this share is
    left out, up to TRIES rounds for each that is wanted: the machine went at two speeds.
    """
    warm(log)
    kept = tried = 0
    while kept < runs and tried < (runs if steady is None else TRIES * runs):
        tried += 1
        able = [tool for tool in entrants if not tool.problem]
        once = [replace(tool, times=[], cpu=[]) for tool in (able if steady is None else [*able, *able[:1]])]
        for one in once:
            measure(one, log, home)
        ends = [seconds for one in (*once[:1], *once[-1:]) for seconds in one.times]
        even = steady is None or not ends or max(ends) <= (1 + steady) * min(ends)
        kept += even
        for tool, one in zip(able, once, strict=False):
            tool.problem = one.problem
            if even:
                tool.times += one.times
                tool.cpu += one.cpu
                tool.peak = max(tool.peak, one.peak)
    first = next((tool.name for tool in entrants if not tool.problem), None)
    if steady is None or first is None:
        return ""
    return f"{kept} of {tried} rounds in which {first} took the same time, within {steady:.0%}, before and after."


def names_of(tool: Tool) -> set[str]:
    """What a tool is called for `--only`: of `logscan compiled, one process` each beginning."""
    build = tool.name.split(",")[0]
    return {build.split()[0], build, tool.name.replace(",", "")}


def ratio(ours: list[float], base: list[float]) -> str:
    """Ratios within a round, then their median: what slowed the whole round cancels out."""
    return f"{statistics.median(map(float.__truediv__, ours, base)):.2f}" if ours and base else ""


def race(
    log: Path, packed: bool, dated: bool, lines: int, runs: int, only: set[str], scratch: Path, steady: float | None
) -> str:
    """All rounds on one log: returns the table as markdown."""
    entrants = [tool for tool in tools(packed, dated) if not only or only & names_of(tool)]
    floor = Tool("nothing", "true", "true")
    measure(floor, log, scratch)
    told = rounds(entrants, log, runs, scratch, steady)
    rows = [
        *([told, ""] if told else []),
        "| tool | command | time | CPU | peak memory | lines per second | time, logscan = 1 | times as fast as pflogsumm |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    of = {tool.name: tool.times for tool in entrants if not tool.problem}
    ours, peer = of.get("logscan, one process", []), of.get("pflogsumm", [])
    for tool in entrants:
        shown = tool.shown.replace("|", "\\|")
        if tool.problem or not tool.times:
            rows.append(f"| {tool.name} | `{shown}` | {tool.problem or 'not run'} | | | | | |")
            continue
        seconds, spread = statistics.median(tool.times), max(tool.times) - min(tool.times)
        under = "under " if tool.peak <= floor.peak + 1_000_000 else ""
        rows.append(
            f"| {tool.name} | `{shown}` | {seconds:.2f} s ± {spread / 2:.2f} |"
            f" {statistics.median(tool.cpu):.2f} s | {under}{tool.peak / 1e6:.0f} MB |"
            f" {lines / seconds:,.0f} | {ratio(tool.times, ours)} | {ratio(peer, tool.times)} |"
        )
    return "\n".join(rows)


def growth(sizes: list[int], seed: int, form: str, runs: int, scratch: Path) -> Iterator[str]:
    """Rows of a table: logscan and pflogsumm on made logs of these many lines.

    Two at once are two reports of one process each, side by side: what this machine's cores have to give.
    """
    yield (
        "| lines | tool | time | CPU | peak memory | lines per second | times as fast as one process | as pflogsumm |\n"
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for lines in sizes:
        log, truth = make_log(scratch, lines, seed, form)
        entrants = list(logscan_tools())
        since = f"--since @{truth['arrivals_end'] - 3600}"
        peer = Tool("pflogsumm", "pflogsumm LOG", "pflogsumm LOG", problem_of("pflogsumm"))
        hours = [_as(one, "last hour", f"{one.run} {since}") for one in entrants[::2]]
        twice = [_as(one, "two at once", _side_by_side(one.run)) for one in entrants[::2]]
        rounds([*entrants, *twice, *hours, peer], log, runs, scratch)
        log.unlink()
        for one, two, both in zip(entrants[::2], entrants[1::2], twice, strict=True):
            yield _grown(lines, one, lines, beside=ratio(peer.times, one.times))
            yield _grown(lines, two, lines, ratio(one.times, two.times), ratio(peer.times, two.times))
            yield _grown(lines, both, 2 * lines, ratio([2 * seconds for seconds in one.times], both.times))
        for tool in hours:
            yield _grown(lines, tool)
        yield _grown(lines, peer, lines)


def _side_by_side(run: str) -> str:
    """A shell's line that runs a command twice at once, fails where one of the two does, and ends both at Ctrl-C."""
    return f'( {run} & other=$!; trap "kill $other" INT; {run} && wait $other )'


def _as(tool: Tool, what: str, run: str) -> Tool:
    """Another use of the same program."""
    return replace(tool, name=f"{tool.name.split(',')[0]}, {what}", run=run, times=[], cpu=[])


def _grown(lines: int, tool: Tool, read: int = 0, alone: str = "", beside: str = "") -> str:
    """A row of the table of growth. read: how many lines the tool read, 0 where that is not of interest."""
    if tool.problem or not tool.times:
        return f"| {lines:,} | {tool.name} | {tool.problem or 'not run'} | | | | | |"
    seconds = statistics.median(tool.times)
    return (
        f"| {lines:,} | {tool.name} | {seconds:.2f} s | {statistics.median(tool.cpu):.2f} s |"
        f" {tool.peak / 1e6:.0f} MB | {f'{read / seconds:,.0f}' if read else ''} | {alone} | {beside} |"
    )


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
    isal = f"{shlex.quote(sys.executable)} -c 'import isal; print(isal.__version__)'"
    found.append(("isal", output_of(isal)))
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
    log, summary = scratch / f"{form}.log", scratch / f"{form}.json"
    command = [sys.executable, str(HERE / "generate.py"), "--lines", str(lines), "--seed", str(seed)]
    subprocess.run([*command, "--form", form, "--output", str(log), "--truth", str(summary)], check=True)
    truth = json.loads(summary.read_text(encoding="utf-8"))
    os.utime(log, (truth["last"], truth["last"]))  # the year of its stamps
    return log, truth


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
        " memory is the highest of one process, the last columns the medians of the ratios within a round.\n"
    )
    for log, truth in logs:
        with log.open("rb") as stream:
            lines = sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 22), b""))
        size = log.stat().st_size
        yield f"## {log.name}: {lines:,} lines, {size / 1e6:.0f} MB\n"
        if truth is not None:
            yield f"Made by `generate.py --lines {args.lines} --seed {args.seed} --form {log.stem}`.\n"
        with log.open("rb") as stream:
            dated = stream.read(1).isdigit()
        yield race(log, False, dated, lines, args.runs, only, scratch, args.steady) + "\n"
        if truth is not None and logscan_command():
            yield differences(log, truth) + "\n"
        if not args.plain_only:
            packed = pack(log, scratch)
            yield f"## {packed.name}: {packed.stat().st_size / 1e6:.0f} MB\n"
            yield race(packed, True, dated, lines, args.runs, only, scratch, args.steady) + "\n"
    if args.growth:
        yield "## How it grows\n"
        yield (
            f"On logs made by `generate.py --seed {args.seed} --form {args.form[0]}`; medians of {args.runs} runs. Two at"
            " once: two reports by one process each, side by side, which is what the cores of this machine have to give."
            " The last hour is `--since` an hour before the last mail.\n"
        )
        sizes = [int(size) for size in args.growth.split(",")]
        yield from growth(sizes, args.seed, args.form[0], args.runs, scratch)
        yield ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Time logscan and its neighbours on the same logs.")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--form", action="append", choices=("traditional", "rfc3339"))
    parser.add_argument("--log", action="append", default=[], help="an existing log instead of a made one")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", help="comma-separated names, as in the table: logscan compiled,pflogsumm,wc")
    parser.add_argument("--steady", type=float, metavar="SHARE", help="leave out rounds in which the machine's speed changed")
    parser.add_argument("--plain-only", action="store_true", help="leave out the packed log")
    parser.add_argument("--growth", nargs="?", const=GROWTH, help=f"also at these many lines ({GROWTH})")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name} too")
    args = parser.parse_args()
    args.form = args.form or ["traditional"]
    known = set().union(*(names_of(tool) for tool in tools(False, False)))
    if unknown := set(filter(None, (args.only or "").split(","))) - known:
        parser.error(f"--only {','.join(sorted(unknown))}: not one of {', '.join(sorted(known))}")
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
