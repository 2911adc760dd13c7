// Package foreign runs swarms of other people's DHT clients: libtorrent, aria2,
// Transmission, rTorrent and bittorrent-dht for Mainline, js-libp2p and Kubo for
// IPFS. They prove that a walker understands more than our own idea of a
// protocol.
//
// Real clients keep loopback addresses out of their tables, so a swarm lives in
// a network namespace in which a block of public address space is local. A
// process enters one with [Command]; everything a swarm starts stays inside and
// dies with the process. Linux only.
package foreign
