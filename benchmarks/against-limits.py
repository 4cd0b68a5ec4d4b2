#!/usr/bin/env python3
"""against-limits.py - libfaas beside the raw limits of the same machine, interleaved

Each comparison runs a program that does nothing but carry bytes, and ours, in turn, so that a
machine that changes its speed changes it for both.  One JSON line a comparison: the medians, the
median of the rounds' ratios, and what is wanted of it.  For a rate the ratio is ours / limit; for a
time it is ours / limit, too, so there less is better.  --only: those whose names have this in them.
"""
import argparse
import json
import os
import statistics
import subprocess

# name, [limit's options], [ours: program and options], field, what is wanted, better
COMPARISONS = [
    ("local, one in flight, one core", "limit-slots", ["--one-core", "--children", "1"],
     "e2e-local", ["--slots", "1", "--tasks", "1000"], "single_p50_us", "at most 10 us"),
    ("local, many in flight, 4 slots", "limit-slots", ["--children", "4", "--single", "100"],
     "e2e-local", ["--slots", "4", "--single", "0"], "tasks_per_s", "at least 0.45"),
    ("local, many in flight, 4 slots, faas_map()", "limit-slots", ["--children", "4", "--single", "100"],
     "e2e-local", ["--slots", "4", "--single", "0", "--chunk", "64", "--tasks", "10000000"], "tasks_per_s",
     "at least 0.45"),
    ("push, one in flight, one core", "limit-echo", ["--one-core", "--tasks", "1000"],
     "e2e-remote", ["--workers", "1", "--tasks", "1000"], "single_p50_us", "at most 1.15, and 5 us"),
    ("push with Redis, one in flight, one core", "limit-echo", ["--one-core", "--durable", "--tasks", "1000"],
     "e2e-remote", ["--store", "redis", "--workers", "1", "--tasks", "1000"], "single_p50_us", "at most 1.3"),
    ("push, many in flight, 4 workers", "limit-echo", ["--batch", "32", "--single", "100"],
     "e2e-remote", ["--single", "0"], "tasks_per_s", ""),
    ("push, 1 MiB", "limit-echo",
     ["--bytes", "1048576", "--batch", "1", "--in-flight", "8", "--tasks", "1000", "--single", "50"],
     "e2e-remote", ["--bytes", "1048576", "--in-flight", "16", "--tasks", "1000", "--single", "0"], "tasks_per_s", "at least 0.60"),
]


def run(command, one_core):
    if one_core:
        last = max(os.sched_getaffinity(0))
        command = ["taskset", "-c", str(last), *command]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.splitlines()[-1])


def main():
    args = argparse.ArgumentParser()
    args.add_argument("programs", nargs=4, help="limit-slots, limit-echo, e2e-local, e2e-remote")
    args.add_argument("--runs", type=int, default=5)
    args.add_argument("--only", default="")
    args.add_argument("--smoke", action="store_true")
    args = args.parse_args()
    programs = {os.path.basename(p): p for p in args.programs}
    smoke = ["--smoke", "--tasks", "100"] if args.smoke else []
    for name, limit, limit_args, ours, our_args, field, wanted in COMPARISONS:
        if args.only not in name:
            continue
        rounds = []
        for _ in range(1 if args.smoke else args.runs):
            bare = run([programs[limit], *limit_args, *smoke], False)
            whole = run([programs[ours], *our_args, *smoke], "--one-core" in limit_args)
            rounds.append((bare[field], whole[field]))
        ratios = [b / a for a, b in rounds if a]
        print(json.dumps({
            "bench": "against-limits", "what": name, "field": field, "runs": len(rounds),
            "limit": statistics.median(a for a, _ in rounds), "ours": statistics.median(b for _, b in rounds),
            "ratio": round(statistics.median(ratios), 3) if ratios else None,
            "ratios": [round(r, 3) for r in ratios], "wanted": wanted,
        }), flush=True)


if __name__ == "__main__":
    main()
