#!/usr/bin/env python3
"""check.py BUILD - does run.py do what README.md says: the table, wrong options, and nothing left behind"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = [sys.executable, str(Path(__file__).with_name("run.py")), "--build", sys.argv[1]]


def run(*options):
    return subprocess.run([*RUN, *options], capture_output=True, text=True, check=False)


def lines_of(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_table(folder):
    table = Path(folder) / "table.md"
    done = run("--smoke", "--rounds", "2", "--markdown", str(table))
    lines = [line for line in lines_of(done) if line["bench"] == "peers"]
    got = {(line["system"], line["measure"]) for line in lines}
    want = {(s, m) for s in ("local", "local-map", "push", "pool", "pool-1") for m in ("one", "steady", "many")}
    assert got == want - {("pool-1", "steady")}, got
    for line in lines:
        assert all(v > 0 for v in line["values"]), line
        if line["system"].startswith("pool"):
            ratios = sorted(line["ratios"])
            assert len(ratios) == 2 and ratios[0] <= line["ratio"] <= ratios[1], line
    text = table.read_text(encoding="utf-8")
    rows = [row.split("|")[1].strip() for row in text.splitlines() if row.startswith("| ")]
    assert rows == ["system", "libfaas local, 4 slots", "libfaas local, 4 slots, faas_map()", "libfaas push, memory, 4 workers",
                    "multiprocessing.Pool, best chunk", "multiprocessing.Pool, chunk 1"], text
    assert len({row.count("|") for row in text.splitlines() if row.startswith("|")}) == 1, text
    assert text in done.stderr


def check_weak():
    lines = [line for line in lines_of(run("--smoke", "--weak", "--rounds", "3")) if line["bench"] == "peers-weak"]
    assert {(line["ours"], line["system"]) for line in lines} == {("local", "pool"), ("push", "pool")}, lines
    for line in lines:
        assert [(p["sleep_us"], p["workers"]) for p in line["points"]] == [(1000, 1), (1000, 2)], line
        # 10 tasks of 1 ms for each worker: nobody is faster than that.
        assert all(p["ours_s"] >= 0.01 and p["theirs_s"] >= 0.01 for p in line["points"]), line
        assert line["lower_95"] <= line["geometric_mean"], line


def check_wrong():
    for options, text in ((["--systems", "local,gearmann"], "'gearmann'"), (["--rounds", "0"], "--rounds"),
                          (["--rounds", "x"], "--rounds"), (["--seconds", "-1"], "--seconds"),
                          (["--weak", "--workers", "1,,2"], "--workers"), (["--sleep", "0"], "--sleep"),
                          (["--steady", "nan"], "--steady"), (["--nonsense"], "--nonsense"),
                          (["--build", "/nowhere"], "/nowhere")):
        done = run(*options)
        assert done.returncode == 2 and text in done.stderr and not done.stdout, (options, done)


def ours(folder):
    """Programs whose working folder is below this one."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(folder):
                yield pid
        except OSError:
            pass


def check_interrupted(folder, how):
    with subprocess.Popen([*RUN, "--systems", "push", "--no-tune"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": folder}) as p:
        end = time.monotonic() + 30
        while not any(ours(folder)):
            assert time.monotonic() < end and p.poll() is None, "it does not start"
            time.sleep(0.01)
        p.send_signal(how)
        assert p.wait(30) == 128 + how, p.returncode
    assert not list(ours(folder)), "programs are left"
    assert not os.listdir(folder), os.listdir(folder)


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_table(folder)
        check_weak()
        check_wrong()
    for how in (signal.SIGINT, signal.SIGTERM):
        with tempfile.TemporaryDirectory() as folder:
            check_interrupted(folder, how)
    print("peers: all is well")


if __name__ == "__main__":
    main()
