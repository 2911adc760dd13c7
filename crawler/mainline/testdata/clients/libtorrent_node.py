"""Runs libtorrent sessions that do nothing but the DHT.

usage: libtorrent_node.py BOOTSTRAP ENDPOINTS...

Endpoints are ADDRESS:PORT, or an IPv4 and an IPv6 one separated by a comma.
Each argument gets a session of its own that is told of BOOTSTRAP. The sessions
look up random keys, as clients with torrents do, until they are killed.
"""

import os
import sys
import time

import libtorrent


def start(endpoints, bootstrap):
    session = libtorrent.session({
        "listen_interfaces": endpoints,
        "enable_dht": True,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "dht_bootstrap_nodes": "",
        "dht_upload_rate_limit": 100000,  # 8000 bytes a second starve those who join
        "alert_mask": 0,
    })
    if endpoints != bootstrap:
        for entry in bootstrap.split(","):
            host, port = entry.rsplit(":", 1)
            session.add_dht_node((host.strip("[]"), int(port)))
    return session


def main():
    bootstrap, endpoints = sys.argv[1], sys.argv[2:]
    sessions = [start(own, bootstrap) for own in endpoints]
    while True:
        time.sleep(2)
        for session in sessions:
            session.dht_get_peers(libtorrent.sha1_hash(os.urandom(20)))


main()
