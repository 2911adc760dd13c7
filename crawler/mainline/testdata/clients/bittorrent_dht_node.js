// Runs bittorrent-dht nodes, the DHT of WebTorrent.
//
// usage: bittorrent_dht_node.js BOOTSTRAP ADDRESS:PORT...
//
// Every address gets a node of its own that is told of BOOTSTRAP. The nodes look
// up random keys, as clients with torrents do, until they are killed. BOOTSTRAP may
// have an IPv6 address behind a comma, which bittorrent-dht has no use for.

import { randomBytes } from 'node:crypto'
import DHT from 'bittorrent-dht'

const [entry, ...endpoints] = process.argv.slice(2)
const [bootstrap] = entry.split(',')

for (const endpoint of endpoints) {
  const [host, port] = endpoint.split(':')
  const node = new DHT({ bootstrap: [bootstrap] })
  node.on('warning', (err) => console.error(endpoint, err.message))
  node.on('error', (err) => { throw err })
  node.listen(Number(port), host)
  setInterval(() => node.lookup(randomBytes(20)), 5000)
}
