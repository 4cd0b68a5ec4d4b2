#!/usr/bin/env python3
"""peer_pool.py - multiprocessing.Pool's part; --connect takes the number of its processes

--in-flight is the chunk size: Pool takes all tasks at once.  With --window it is instead the number
of single tasks in flight.
"""
import itertools
import multiprocessing
import sys
import threading
import time

import peer


# Distinct objects: of one object many times over, pickle would send the first and short references.
PAYLOADS = [b"%016d" % i for i in range(1 << 16)]


def same(payload):
    return payload


def doze(seconds):
    time.sleep(seconds)


def main():
    window = "--window" in sys.argv
    if window:
        sys.argv.remove("--window")
    args = peer.arguments()
    with multiprocessing.Pool(int(args.connect)) as pool:

        def one():
            assert pool.apply(same, (peer.PAYLOAD,)) == peer.PAYLOAD

        def chunks(n, chunk):
            payloads = itertools.islice(itertools.cycle(PAYLOADS), n)
            assert sum(map(len, pool.imap_unordered(same, payloads, chunksize=chunk))) == n * 16

        def windowed(n, in_flight):
            room = threading.Semaphore(in_flight)
            got = []

            def done(result):
                got.append(result == peer.PAYLOAD)
                room.release()

            for _ in range(n):
                room.acquire()
                pool.apply_async(same, (peer.PAYLOAD,), callback=done)
            for _ in range(in_flight):
                room.acquire()
            assert sum(got) == n

        def sleep(us, n):
            assert sum(1 for _ in pool.imap_unordered(doze, [us / 1e6] * n, chunksize=1)) == n

        peer.main("multiprocessing.Pool", args, one, windowed if window else chunks, sleep)


if __name__ == "__main__":
    main()
