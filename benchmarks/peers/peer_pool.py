#!/usr/bin/env python3
"""peer_pool.py - multiprocessing.Pool's part; --connect takes the number of its processes

--in-flight is the chunk size: Pool takes all tasks at once.  --window K instead keeps so many
single tasks in flight.
"""
import multiprocessing
import sys
import threading
import time

import peer


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
            results = pool.imap_unordered(same, [peer.PAYLOAD] * n, chunksize=chunk)
            assert sum(r == peer.PAYLOAD for r in results) == n

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
