"""`lose.py BROKER QUEUE WORDS`: take the messages that hold these words out of a queue that nobody reads, and print how many there were.

What else waits there stays: whose call is lost waits a minute for its answer, and its service counts as down meanwhile.
"""

from __future__ import annotations

import sys

import kombu

broker, queue, words = sys.argv[1:]
found = 0
with kombu.Connection(broker.replace("rabbit:", "pyamqp:")) as connection:
    channel = connection.default_channel
    while (message := channel.basic_get(queue)) is not None:  # what isn't acknowledged is back where it was once this connection is closed
        if words in (message.body if isinstance(message.body, str) else bytes(message.body).decode()):
            channel.basic_ack(message.delivery_tag)
            found += 1
print(found)
