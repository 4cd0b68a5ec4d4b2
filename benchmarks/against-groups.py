#!/usr/bin/env python3
"""against-groups.py - the dispatcher with its store in Redis beside the bare groups, interleaved

Runs redis-groups and e2e-remote (push, 4 workers, many in flight) in turn against the same kind of
server, so that a machine that changes its speed changes it for both; prints one JSON line with the
medians and the median of their ratios.  The bare rate of a round is that of the best size of group.
"""
import argparse
import json
import statistics
import subprocess


def lines(command):
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("redis_groups", help="the program built from redis-groups.c")
    args.add_argument("e2e_remote", help="the program built from e2e-remote.c")
    args.add_argument("--runs", type=int, default=5)
    args.add_argument("--tasks", type=int, default=300000)
    args.add_argument("--fsync", default="everysec")
    args.add_argument("--smoke", action="store_true")
    args = args.parse_args()
    tasks = ["--tasks", str(2000 if args.smoke else args.tasks), "--fsync", args.fsync]
    rounds = []
    for _ in range(1 if args.smoke else args.runs):
        bare = max(lines([args.redis_groups, *tasks]), key=lambda r: r["tasks_per_s"])
        whole = lines([args.e2e_remote, "--store", "redis", "--single", "0", *tasks])[-1]
        rounds.append((bare, whole))

    def median(which, name):
        return statistics.median(r[which][name] for r in rounds)

    print(json.dumps({
        "bench": "against-groups", "fsync": args.fsync, "bytes": 16, "runs": len(rounds),
        "groups_tasks_per_s": round(median(0, "tasks_per_s")),
        "dispatcher_tasks_per_s": round(median(1, "tasks_per_s")),
        "ratio": round(statistics.median(r[1]["tasks_per_s"] / r[0]["tasks_per_s"] for r in rounds), 2),
        "ratios": [round(r[1]["tasks_per_s"] / r[0]["tasks_per_s"], 2) for r in rounds],
        "allowed": 0.45,
        "groups_redis_us": round(median(0, "redis_us"), 2),
        "redis_us": round(median(1, "redis_us"), 2), "dispatcher_us": round(median(1, "dispatcher_us"), 2),
    }))


if __name__ == "__main__":
    main()
