"""Runs libtorrent sessions that do nothing but the DHT.

usage: libtorrent_node.py BOOTSTRAP ADDRESS:PORT...

Every address gets a session of its own that is told of BOOTSTRAP. The sessions
look up random keys, as clients with torrents do, until standard input closes.
"""

import os
import select
import sys

import libtorrent


def start(endpoint, bootstrap):
    session = libtorrent.session({
        "listen_interfaces": endpoint,
        "outgoing_interfaces": endpoint.rsplit(":", 1)[0],
        "enable_dht": True,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "dht_bootstrap_nodes": "" if endpoint == bootstrap else bootstrap,
        "alert_mask": 0,
    })
    if endpoint != bootstrap:
        host, port = bootstrap.rsplit(":", 1)
        session.add_dht_node((host, int(port)))
    return session


def main():
    bootstrap, endpoints = sys.argv[1], sys.argv[2:]
    sessions = [start(endpoint, bootstrap) for endpoint in endpoints]
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], 2)
        if readable and not sys.stdin.buffer.read1(1):
            os._exit(0)  # a session's own farewell waits for trackers
        for session in sessions:
            session.dht_get_peers(libtorrent.sha1_hash(os.urandom(20)))


main()
