#!/usr/bin/env python3
"""pool.py [--smoke] [--slots N] [--tasks N]: the same work as e2e-local by multiprocessing.Pool.

One task a message (chunksize 1), 16 bytes in and out.  One JSON line on standard output.
"""
import argparse
import json
import multiprocessing
import time


def same(payload):
    return payload


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--smoke", action="store_true")
    args.add_argument("--slots", type=int, default=4)
    args.add_argument("--tasks", type=int, default=200000)
    args = args.parse_args()
    n = 2000 if args.smoke else args.tasks
    payload = b"0123456789abcdef"
    with multiprocessing.Pool(args.slots) as pool:
        for _ in pool.imap_unordered(same, [payload] * (n // 10), chunksize=1):
            pass
        start = time.monotonic()
        got = sum(1 for r in pool.imap_unordered(same, [payload] * n, chunksize=1) if r == payload)
        seconds = time.monotonic() - start
    assert got == n
    print(json.dumps({"bench": "multiprocessing.Pool", "slots": args.slots, "tasks": n, "bytes": 16,
                      "seconds": round(seconds, 4), "tasks_per_s": round(n / seconds)}))


if __name__ == "__main__":
    main()
