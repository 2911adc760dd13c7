// Runs bittorrent-dht nodes, the DHT of WebTorrent.
//
// usage: bittorrent_dht_node.js BOOTSTRAP ADDRESS:PORT...
//
// Every address gets a node of its own that is told of BOOTSTRAP. The nodes look
// up random keys, as clients with torrents do, until standard input closes.

import { randomBytes } from 'node:crypto'
import DHT from 'bittorrent-dht'

const [bootstrap, ...endpoints] = process.argv.slice(2)

for (const endpoint of endpoints) {
  const [host, port] = endpoint.split(':')
  const node = new DHT({ bootstrap: endpoint === bootstrap ? false : [bootstrap] })
  node.on('warning', (err) => console.error(endpoint, err.message))
  node.on('error', (err) => { throw err })
  node.listen(Number(port), host)
  setInterval(() => node.lookup(randomBytes(20)), 5000)
}

process.stdin.on('end', () => process.exit(0)).resume()
