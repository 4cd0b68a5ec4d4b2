#!/usr/bin/env python3
"""against-pool.py - local:4 beside Python's multiprocessing.Pool with chunk size 1, interleaved

Runs both in turn, so that a machine that changes its speed changes it for both; prints one JSON line
with the medians and their ratio.
"""
import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path


def rate(command):
    line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(line.splitlines()[-1])["tasks_per_s"]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("e2e_local", help="the program built from e2e-local.c")
    args.add_argument("--runs", type=int, default=5)
    args.add_argument("--smoke", action="store_true")
    args = args.parse_args()
    pool = [sys.executable, str(Path(__file__).with_name("pool.py"))]
    ours = [args.e2e_local, "--slots", "4"]
    if args.smoke:
        pool.append("--smoke")
        ours.append("--smoke")
    runs = [(rate(ours), rate(pool)) for _ in range(1 if args.smoke else args.runs)]
    print(json.dumps({
        "bench": "against-pool", "slots": 4, "bytes": 16, "runs": len(runs),
        "local_tasks_per_s": round(statistics.median(r[0] for r in runs)),
        "pool_tasks_per_s": round(statistics.median(r[1] for r in runs)),
        "ratio": round(statistics.median(r[0] / r[1] for r in runs), 1),
    }))


if __name__ == "__main__":
    main()
