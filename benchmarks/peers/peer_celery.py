#!/usr/bin/env python3
"""peer_celery.py - Celery's part; --connect takes the socket of a Redis, which is broker and results

Its workers: "celery -A peer_celery worker", with the socket in $PEERS_REDIS.
"""
import collections
import os
import sys

import celery

import peer

TEXT = peer.PAYLOAD[:15].decode() + "f"  # text of 16 bytes: JSON, Celery's default, takes no others

URL = "redis+socket://" + os.environ.get("PEERS_REDIS", "")
app = celery.Celery("peer_celery", broker=URL, backend=URL)
app.conf.worker_prefetch_multiplier = int(os.environ.get("PEERS_PREFETCH", "4"))
app.conf.worker_send_task_events = False
app.conf.task_send_sent_event = False
app.conf.broker_connection_retry_on_startup = True


@app.task(name="echo")
def echo(text):
    return text


def one():
    assert echo.delay(TEXT).get() == TEXT


def many(n, in_flight):
    """Waits for the oldest: the others come in meanwhile."""
    waiting = collections.deque()
    sent = 0
    while sent < n or waiting:
        while sent < n and len(waiting) < in_flight:
            waiting.append(echo.delay(TEXT))
            sent += 1
        assert waiting.popleft().get() == TEXT


if __name__ == "__main__":
    os.environ.setdefault("PEERS_REDIS", sys.argv[sys.argv.index("--connect") + 1])
    peer.main("Celery", peer.arguments(), one, many)
