"""One TCP connection between two hosts, for the tests of the fixture.

  traffic.py serve PORT             takes one connection; prints JSON of what it saw
  traffic.py stream ADDRESS PORT S  sends for S seconds
  traffic.py trips ADDRESS PORT N   N round trips of one byte; prints JSON

serve prints "ready" once it listens. Its "gb_per_s" (10^9 bits) leaves out the first third of the
time, in which a connection finds its rate.
"""
import json
import socket
import sys
import time


def serve(port):
    with socket.create_server(("", port)) as listener:
        print("ready", flush=True)
        connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    seen, total, buffer = [], 0, bytearray(1 << 20)
    while length := connection.recv_into(buffer):
        if length == 1:
            connection.send(buffer[:1])
            continue
        total += length
        seen.append((time.monotonic(), total))
    if seen:
        begin, end = seen[0][0], seen[-1][0]
        first = next(s for s in seen if s[0] >= begin + (end - begin) / 3)
        print(json.dumps({"bytes": total, "seconds": end - begin,
                          "gb_per_s": (total - first[1]) * 8e-9 / max(1e-9, end - first[0])}))


def stream(address, port, seconds):
    payload = bytes(1 << 20)
    with socket.create_connection((address, port)) as connection:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            connection.sendall(payload[:128 << 10])


def trips(address, port, count):
    with socket.create_connection((address, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        times = []
        for _ in range(count):
            begin = time.monotonic()
            connection.send(b"x")
            connection.recv(1)
            times.append((time.monotonic() - begin) * 1e3)
    print(json.dumps({"ms": sorted(times)}))


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "serve":
        serve(int(words[0]))
    elif what == "stream":
        stream(words[0], int(words[1]), float(words[2]))
    else:
        trips(words[0], int(words[1]), int(words[2]))
