#!/usr/bin/env python3
"""peer_rq.py - RQ's part; --connect takes the socket of a Redis

A result is a stream in Redis, and XREAD waits for it; RQ's own way at this version is to ask again and
again.
"""
import collections

import redis
import rq
from rq.results import Result, get_key

import peer


def same(payload):
    return payload


def main():
    args = peer.arguments()
    connection = redis.Redis(unix_socket_path=args.connect)
    queue = rq.Queue("work", connection=connection)

    def wait(job):
        found = connection.xread({get_key(job.id): "0-0"}, count=1, block=60000)
        assert found, "no result"
        result_id, fields = found[0][1][0]
        result = Result.restore(job.id, result_id.decode(), fields, connection=connection)
        assert result.return_value == peer.PAYLOAD

    def one():
        wait(queue.enqueue("peer_rq.same", peer.PAYLOAD))

    def many(n, in_flight):
        """As many as there is room for in one trip; waits for the oldest."""
        waiting = collections.deque()
        chunk = max(in_flight // 4, 1)
        sent = 0
        while sent < n or waiting:
            if sent < n and len(waiting) + chunk <= in_flight:
                k = min(chunk, n - sent)
                waiting.extend(queue.enqueue_many([rq.Queue.prepare_data("peer_rq.same", (peer.PAYLOAD,))
                                                   for _ in range(k)]))
                sent += k
                continue
            wait(waiting.popleft())

    peer.main("RQ", args, one, many)


if __name__ == "__main__":
    main()
