"""The files in examples/ do what they say: run, or checked by the programs that read them."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from small_logs import Log, real

EXAMPLES = Path(__file__).parent.parent / "examples"
BIN = Path(sys.executable).parent / "logscan"
MAIL = EXAMPLES / "cron" / "logscan-mail"
CHECK = EXAMPLES / "nagios" / "check_logscan"
TEXTFILE = EXAMPLES / "prometheus" / "logscan-textfile"
SCRIPTS = (MAIL, CHECK, TEXTFILE)

TODAY = date(2026, 11, 24)

pytestmark = pytest.mark.skipif(not BIN.exists(), reason="the command is not installed")


def needs(program: str) -> pytest.MarkDecorator:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return pytest.mark.skipif(shutil.which(program, path=path) is None, reason=f"{program} is not installed")


def run(*words: object, **env: object) -> subprocess.CompletedProcess[str]:
    where = {
        "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "TZ": "UTC", "LOGSCAN": str(BIN),
        **{name: str(value) for name, value in env.items()},
    }  # fmt: skip
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, env=where, timeout=120, stdin=subprocess.DEVNULL
    )


def log_of(path: Path, *, unsigned: int = 0, failed: int = 0, today: date = TODAY, until: int = 7) -> Path:
    """Three whole days and some hours of today, with full stamps; the bad mail is yesterday's."""
    log = Log(iso=True)
    midnight = int(datetime(today.year, today.month, today.day, tzinfo=UTC).timestamp())
    for at in range(midnight - 3 * 86400, midnight + until * 3600, 3600):
        log.mail(at)
    for number in range(unsigned):
        log.mail(midnight - 3600 * 4 + number, "news@example.net", signed=False)
    for number in range(failed):
        log.mail(midnight - 3600 * 3 + number, signed=False, failed="inet:127.0.0.1:8891")
    return log.write(path)


def test_every_file_is_looked_at_here() -> None:
    """A new example comes with its test."""
    found = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.glob("[!_]*/*")}
    assert found == {
        "cron/logscan", "cron/logscan-mail", "systemd/logscan.service", "systemd/logscan.timer",
        "systemd/logscan.sysusers", "logrotate/mail", "nagios/check_logscan", "prometheus/logscan-textfile",
    }  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_plain_sh(script: Path) -> None:
    assert script.stat().st_mode & stat.S_IXUSR
    assert run("sh", "-n", script).stderr == ""
    if shutil.which("shellcheck"):
        done = run("shellcheck", "--shell=sh", script)
        assert (done.stdout, done.returncode) == ("", 0)


# --- cron ---


def test_the_cron_line_is_one_and_its_command_is_ours() -> None:
    lines = [line for line in (EXAMPLES / "cron" / "logscan").read_text().splitlines() if line[:1] not in ("", "#")]
    assert lines[0] == "MAILTO=root"
    minute, hour, *days, user, command = lines[1].split(maxsplit=6)
    assert (minute, hour, days, user) == ("15", "6", ["*", "*", "*"], "logscan")
    assert command == "/opt/logscan/bin/logscan daily" and "%" not in command
    assert (EXAMPLES / "cron" / "logscan").read_text().endswith("\n")  # cron passes over a last line without an end
    # run-parts and cron leave out names with dots.
    assert all("." not in path.name for path in (EXAMPLES / "cron").iterdir())


@needs("crontab")
def test_cron_takes_the_file(tmp_path: Path) -> None:
    """crontab -n checks a user's table, which has no column for the user."""
    table = tmp_path / "table"
    table.write_text(
        re.sub(r"^([0-9*]+ .*)  logscan  ", r"\1  ", (EXAMPLES / "cron" / "logscan").read_text(), flags=re.M)
    )
    done = run("crontab", "-n", table)
    assert done.returncode == 0, done.stderr
    table.write_text(table.read_text().replace("15 6 *", "75 6 *"))
    assert run("crontab", "-n", table).returncode != 0


@pytest.fixture
def sendmail(tmp_path: Path) -> Path:
    """A sendmail that keeps what it is given beside itself, as `sendmail.mail`."""
    made = tmp_path / "sendmail"
    made.write_text('#!/bin/sh\nprintf "%s " "$@" >"$0.words"\ncat >"$0.mail"\n')
    made.chmod(0o755)
    return made


def test_a_good_day_brings_no_mail(tmp_path: Path, sendmail: Path) -> None:
    done = run(MAIL, log_of(tmp_path / "mail.log"), "--date", TODAY, SENDMAIL=sendmail)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not sendmail.with_name("sendmail.mail").exists()


def test_a_bad_day_brings_a_mail_with_a_subject(tmp_path: Path, sendmail: Path) -> None:
    log = log_of(tmp_path / "mail.log", unsigned=1)
    done = run(MAIL, log, "--date", TODAY, SENDMAIL=sendmail, MAILTO="dkim@example.org")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    head, _, body = sendmail.with_name("sendmail.mail").read_text().partition("\n\n")
    assert head.splitlines()[:2] == ["To: dkim@example.org", "Subject: mx 2026-11-23: 1 unsigned, 96.0 % of 25 signed"]
    assert body.splitlines()[0] == "mx 2026-11-23: 1 unsigned, 96.0 % of 25 signed"
    assert "news@example.net" in body
    assert sendmail.with_name("sendmail.words").read_text() == "-oi -t "


def test_a_log_that_is_missing_brings_a_mail_too(tmp_path: Path, sendmail: Path) -> None:
    run(MAIL, tmp_path / "mail.log", SENDMAIL=sendmail)
    mail = sendmail.with_name("sendmail.mail").read_text()
    assert f"\nSubject: logscan: {tmp_path}/mail.log: no such file\n" in mail


def test_a_mail_that_cannot_be_sent_is_a_failure(tmp_path: Path) -> None:
    assert run(MAIL, tmp_path / "mail.log", SENDMAIL=tmp_path / "sendmail").returncode != 0


# --- systemd ---


@needs("systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in ("logscan.service", "logscan.timer"):
        text = (EXAMPLES / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("/usr/local/sbin/logscan-mail", str(MAIL)))
    verify = ("systemd-analyze", "verify", "--man=no", tmp_path / "logscan.service", tmp_path / "logscan.timer")
    done = run(*verify)
    assert (done.returncode, done.stderr) == (0, "")
    broken = (tmp_path / "logscan.timer").read_text().replace("OnCalendar=*-*-* 06:15", "OnCalendar=at six")
    (tmp_path / "logscan.timer").write_text(broken)
    assert "calendar" in run(*verify).stderr


@needs("systemd-sysusers")
def test_systemd_takes_the_user(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "group").write_text("adm:x:4:\nsystemd-journal:x:101:\n")
    done = run("systemd-sysusers", "--dry-run", f"--root={tmp_path}", EXAMPLES / "systemd" / "logscan.sysusers")
    assert done.returncode == 0 and "Creating user 'logscan'" in done.stdout + done.stderr


def test_the_service_may_hand_mail_to_postfix() -> None:
    """postdrop is setgid: what implies NoNewPrivileges in a service that has a user would stop it."""
    text = (EXAMPLES / "systemd" / "logscan.service").read_text()
    settings = [line.partition("=")[0] for line in text.splitlines() if re.match(r"[A-Z]\w+=", line)]
    assert {"User", "SupplementaryGroups"} <= set(settings)
    assert not {"NoNewPrivileges", "DynamicUser", "SystemCallFilter", "RestrictSUIDSGID", "PrivateDevices"} & set(
        settings
    )
    user = (EXAMPLES / "systemd" / "logscan.sysusers").read_text()
    assert "u logscan " in user and "m logscan adm" in user and "m logscan systemd-journal" in user


# --- logrotate ---


@needs("logrotate")
@pytest.mark.skipif(os.geteuid() != 0, reason="gives the log to another group, as root")
def test_yesterday_is_found_after_logrotate(tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    # Whatever the hour: the log ends with yesterday.
    log = log_of(tmp_path / "mail.log", unsigned=2, today=today, until=0)
    stanza = (EXAMPLES / "logrotate" / "mail").read_text()
    assert "postrotate" in stanza and "\n    copytruncate" not in stanza
    text = stanza.replace("/var/log/mail.log", str(log)).replace("/usr/lib/rsyslog/rsyslog-rotate", "true")
    settings = tmp_path / "settings"
    settings.write_text(text)
    settings.chmod(0o644)
    tmp_path.chmod(0o755)
    checked = run("logrotate", "--debug", "--state", tmp_path / "state", settings)
    assert checked.returncode == 0 and "error" not in checked.stderr
    rotated = run("logrotate", "--force", "--state", tmp_path / "state", settings)
    assert rotated.returncode == 0, rotated.stderr
    assert log.read_bytes() == b""
    assert [path.name for path in tmp_path.glob("mail.log-*")] == [f"mail.log-{today:%Y%m%d}"]
    done = run(BIN, "daily", log, "--date", today)
    assert done.returncode == 1
    assert done.stdout.startswith(f"mx {today - timedelta(days=1)}: 2 unsigned, 92.3 % of 26 signed\n")


# --- monitoring ---


@pytest.mark.parametrize(
    ("bad", "status", "line"),
    [
        ({}, 0, "LOGSCAN OK - 24 of 24 outgoing messages signed, 0 unsigned, 0 hit by a milter error, 0 faults"
         " | signed=24 unsigned=0 milter_error=0 undecided=0 faults=0"),
        ({"unsigned": 3}, 1, "LOGSCAN WARNING - 24 of 27 outgoing messages signed, 3 unsigned, 0 hit by a milter error,"
         " 0 faults | signed=24 unsigned=3 milter_error=0 undecided=0 faults=0"),
        ({"unsigned": 3, "failed": 2}, 2, "LOGSCAN CRITICAL - 24 of 29 outgoing messages signed, 3 unsigned, 2 hit by a"
         " milter error, 1 faults | signed=24 unsigned=3 milter_error=2 undecided=0 faults=1"),
    ],
)  # fmt: skip
def test_the_plugin_tells_by_its_status(bad: dict[str, int], status: int, line: str, tmp_path: Path) -> None:
    log = log_of(tmp_path / "mail.log", **bad)
    done = run(CHECK, "--since", "2026-11-23", "--until", "2026-11-24", log)
    assert (done.returncode, done.stdout, done.stderr) == (status, f"{line}\n", "")


@pytest.mark.parametrize("missing", ["log", "program"])
def test_the_plugin_says_unknown_when_it_cannot_tell(missing: str, tmp_path: Path) -> None:
    done = run(CHECK, tmp_path / "a|b.log", **({"LOGSCAN": tmp_path / "nothing"} if missing == "program" else {}))
    assert done.returncode == 3 and done.stderr == ""
    assert done.stdout.startswith("LOGSCAN UNKNOWN - logscan") and done.stdout.count("\n") == 1
    assert "|" not in done.stdout  # the name of a log is no performance data
    assert missing == "program" or "a/b.log: no such file" in done.stdout


@pytest.mark.parametrize(("hours", "status", "word"), [(2, 0, "OK"), (9, 3, "UNKNOWN")])
def test_the_plugin_says_that_nothing_was_logged(hours: int, status: int, word: str, tmp_path: Path) -> None:
    """A host may be quiet for some hours; after that it is not known to be well."""
    log = Log(iso=True)
    for ago in range(12, hours, -1):
        log.mail(int(time.time()) - ago * 3600)
    done = run(CHECK, log.write(tmp_path / "mail.log"))
    assert done.returncode == status
    assert done.stdout.startswith(f"LOGSCAN {word} - logscan: warning: nothing was logged since ")


def test_the_plugin_does_not_take_mail_that_nobody_can_judge_for_good(tmp_path: Path) -> None:
    done = run(CHECK, "--since", "2026-11-24", "--until", "2026-11-25", real("success_not_logged", tmp_path))
    assert (done.returncode, done.stderr) == (3, "")
    assert re.match(r"LOGSCAN UNKNOWN - cannot tell if [1-9]\d* outgoing messages were signed; ", done.stdout)


def metrics(text: str) -> dict[str, float]:
    """The exposition format of Prometheus, as far as gauges need it: each family has HELP and TYPE before its samples."""
    assert text.endswith("\n")
    found: dict[str, float] = {}
    family, seen = "", set()
    for line in text.splitlines():
        if helps := re.fullmatch(r"# HELP ([a-z_]+) (\S.*)", line):
            family = helps[1]
            assert family not in seen
            seen.add(family)
        elif types := re.fullmatch(r"# TYPE ([a-z_]+) gauge", line):
            assert types[1] == family
        else:
            sample = re.fullmatch(r'([a-z_]+)((?:\{[a-z_]+="[a-z_]+"\})?) (-?[0-9.]+)', line)
            assert sample and sample[1] == family and sample[1] + sample[2] not in found
            found[sample[1] + sample[2]] = float(sample[3])
    return found


def test_the_textfile_has_yesterdays_counts(tmp_path: Path) -> None:
    log = log_of(tmp_path / "mail.log", unsigned=3, failed=2)
    where = tmp_path / "collector"
    where.mkdir()
    done = run(TEXTFILE, log, "--date", TODAY, TEXTFILE_DIRECTORY=where)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (made,) = where.iterdir()
    assert made.name == "logscan.prom" and stat.S_IMODE(made.stat().st_mode) == 0o644
    found = metrics(made.read_text())
    assert found.pop("logscan_run_timestamp_seconds") > 1_700_000_000
    assert found == {
        "logscan_status": 1,
        'logscan_outbound_messages{outcome="signed"}': 24,
        'logscan_outbound_messages{outcome="unsigned"}': 3,
        'logscan_outbound_messages{outcome="milter_error"}': 2,
        'logscan_outbound_messages{outcome="undecided"}': 0,
        'logscan_faults{severity="error"}': 1,
        'logscan_faults{severity="warning"}': 0,
    }


def test_the_textfile_tells_of_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    where = tmp_path / "collector"
    where.mkdir()
    log = log_of(tmp_path / "mail.log")
    assert run(TEXTFILE, log, "--date", TODAY, TEXTFILE_DIRECTORY=where).returncode == 0
    assert metrics((where / "logscan.prom").read_text())["logscan_status"] == 0
    run(TEXTFILE, log, "--date", "never", TEXTFILE_DIRECTORY=where)
    found = metrics((where / "logscan.prom").read_text())
    assert set(found) == {"logscan_status", "logscan_run_timestamp_seconds"} and found["logscan_status"] == 2
    assert len(list(where.iterdir())) == 1


def test_the_textfile_is_not_touched_where_it_cannot_be_written(tmp_path: Path) -> None:
    done = run(TEXTFILE, tmp_path / "mail.log", TEXTFILE_DIRECTORY=tmp_path / "nowhere")
    assert done.returncode == 2
