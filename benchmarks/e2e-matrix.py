#!/usr/bin/env python3
"""e2e-matrix.py - every way through the system: mode x store x payload x workers

Runs e2e-local and e2e-remote for each point and prints their JSON lines: tasks a second, processor
time, and one task alone.  The same number of bytes goes through each point of a payload's size, at
most --tasks tasks.  --only: points whose names ("push redis 1024 4") have this in them.
"""
import argparse
import os
import subprocess
import sys

PAYLOADS = [16, 1024, 65536, 1048576]
WORKERS = [1, 2, 4]
BYTES = 512 << 20  # of payloads, one way


def points(stores):
    for workers in WORKERS:
        yield "local", "memory", 16, workers
    for mode in ("push", "pull", "local"):
        for store in stores:
            for payload in PAYLOADS:
                for workers in WORKERS:
                    if mode != "local" or payload > 16 or store != "memory":
                        yield mode, store, payload, workers


def command(programs, mode, store, payload, workers, tasks, single):
    if mode == "local" and store == "memory" and payload == 16:
        return [programs["e2e-local"], "--slots", str(workers), "--tasks", str(tasks), "--single", str(single)]
    in_flight = max(8, min(4096, (64 << 20) // payload))
    return [programs["e2e-remote"], "--mode", mode, "--store", store, "--bytes", str(payload),
            "--workers", str(workers), "--tasks", str(tasks), "--single", str(single), "--in-flight", str(in_flight)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", nargs="+", help="e2e-local, e2e-remote")
    parser.add_argument("--stores", default="memory,redis")
    parser.add_argument("--tasks", type=int, default=200000)
    parser.add_argument("--only", default="")
    parser.add_argument("--smoke", action="store_true", help="the smallest point of each mode and store")
    args = parser.parse_args()
    programs = {os.path.basename(p): p for p in args.programs}
    for name in ("e2e-local", "e2e-remote"):
        if name not in programs:
            parser.error(f"{name} is missing: its path, as build/benchmarks/{name}")
    failed = 0
    for mode, store, payload, workers in points(args.stores.split(",")):
        name = f"{mode} {store} {payload} {workers}"
        if args.only not in name or (args.smoke and (payload > 1024 or workers > 1)):
            continue
        tasks = 200 if args.smoke else max(200, min(args.tasks, BYTES // payload))
        single = 10 if args.smoke else 1000 if payload < 1 << 20 else 200
        done = subprocess.run(command(programs, mode, store, payload, workers, tasks, single))
        if done.returncode:
            print(f"e2e-matrix: {name} failed", file=sys.stderr)
            failed = 1
    sys.exit(failed)


if __name__ == "__main__":
    main()
