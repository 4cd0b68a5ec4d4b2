"""peer.py - what the Python programs of this comparison share: peer.h in Python"""
import argparse
import json
import time

SAMPLES_MIN = 20
PAYLOAD = b"0123456789abcde\0"


def arguments():
    args = argparse.ArgumentParser()
    args.add_argument("--connect", required=True)
    args.add_argument("--one", type=float)
    args.add_argument("--many", type=float)
    args.add_argument("--in-flight", type=int, default=1)
    args.add_argument("--sleep", type=int)
    args.add_argument("--tasks", type=int)
    return args.parse_args()


def say(system, **what):
    print(json.dumps({"system": system, **what}))


def run_one(system, one, seconds):
    """One task after the other; the first, and a tenth of the time, warm up."""
    times = []
    begin = start = time.monotonic()
    while True:
        one()
        end = time.monotonic()
        if start > begin and start - begin >= seconds / 10:
            times.append(end - start)
        if end - begin > seconds and len(times) >= SAMPLES_MIN:
            break
        start = end
    times.sort()
    n = len(times)
    say(system, in_flight=1, samples=n, p50_us=round(times[n // 2] * 1e6, 2),
        mean_us=round(sum(times) / n * 1e6, 2), p99_us=round(times[n * 99 // 100] * 1e6, 2))


def timed(many, n, in_flight):
    start = time.monotonic()
    many(n, in_flight)
    return time.monotonic() - start


def run_many(system, many, seconds, in_flight):
    """Growing rounds warm up; the last one's rate tells how many tasks take all the time, or what is left of it."""
    n = max(in_flight, 16)
    while (took := timed(many, n, in_flight)) < seconds / 10:
        n *= 3
    rate, total, spent = n / took, 0, 0
    while spent < seconds * 2 / 3:
        n = max(int(rate * (seconds - spent)), in_flight)
        took = timed(many, n, in_flight)
        rate, total, spent = n / took, total + n, spent + took
    say(system, in_flight=in_flight, tasks=total, seconds=round(spent, 4), tasks_per_s=round(total / spent))


def main(system, args, one, many, sleep=None):
    """one(), many(n, in_flight), sleep(us, n)"""
    if args.sleep:
        sleep(args.sleep, args.tasks // 10 + 1)
        start = time.monotonic()
        sleep(args.sleep, args.tasks)
        say(system, in_flight=args.in_flight, sleep_us=args.sleep, tasks=args.tasks,
            seconds=round(time.monotonic() - start, 5))
    elif args.one:
        run_one(system, one, args.one)
    else:
        run_many(system, many, args.many, args.in_flight)
