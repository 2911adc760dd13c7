// Runs js-libp2p nodes of one generation (2 or 3) that take part in the DHT.
//
// usage: js_libp2p_nodes.js GENERATION BOOTSTRAP MODE:ADDRESS...
//
// MODE is server, client, or quic: a server that listens on QUIC only, where
// there is QUIC. Every node listens at its own address and dials BOOTSTRAP, a multiaddr; with
// the word "none" the first node is the bootstrap of the rest. Once a second the
// truth is printed as one JSON line: an array of
// {id, addresses, agent, server, table}, table being the peer IDs in the node's
// routing table. Runs until killed.

import { setTimeout } from 'node:timers/promises'

// js-libp2p 3 is made for Node 22; this is all that it misses in Node 20.
Promise.withResolvers ??= () => {
  const d = {}
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }))
  return d
}

const [generation, given, ...specs] = process.argv.slice(2)
const part = (name) => import(`${name}-${generation}`)

const { createLibp2p } = await part('libp2p')
const { noise } = await part('@chainsafe/libp2p-noise')
const { yamux } = await part('@chainsafe/libp2p-yamux')
const { identify } = await part('@libp2p/identify')
const { kadDHT } = await part('@libp2p/kad-dht')
const { ping } = await part('@libp2p/ping')
const { tcp } = await part('@libp2p/tcp')
const { multiaddr } = await part('@multiformats/multiaddr')

// QUIC is a native module: of generation 3 only, and not built for every platform.
const { quic } = await part('@chainsafe/libp2p-quic').catch(() => ({}))

function start (mode, address) {
  const addresses = quic ? [`/ip4/${address}/udp/4001/quic-v1`] : []
  if (!quic || mode !== 'quic') addresses.unshift(`/ip4/${address}/tcp/4001`)
  const dht = kadDHT({
    clientMode: mode === 'client',
    querySelfInterval: 5000 // settle sooner than in five minutes
  })
  return createLibp2p({
    addresses: { listen: addresses, announce: addresses }, // unannounced, they would wait for AutoNAT
    transports: [tcp({ dialOpts: { localAddress: address } }), ...(quic ? [quic()] : [])],
    // Dialling over QUIC can't be bound to an address, and a peer accepts few connections from one.
    connectionGater: { denyDialMultiaddr: (target) => target.toString().includes('/quic-v1') },
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping(), dht }
  })
}

// A busy peer refuses more than five connections a second.
async function join (node, bootstrap) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await node.dial(multiaddr(bootstrap))
    } catch (err) {
      if (attempt === 5) throw err
      await setTimeout(1000)
    }
  }
}

const nodes = []
let bootstrap = given
for (const spec of specs) {
  const node = await start(...spec.split(':'))
  nodes.push(node)
  if (bootstrap === 'none') bootstrap = node.getMultiaddrs()[0].toString()
  else await join(node, bootstrap)
}

setInterval(() => {
  console.log(JSON.stringify(nodes.map((node) => ({
    id: node.peerId.toString(),
    addresses: node.getMultiaddrs().map(String),
    agent: node.components.nodeInfo.userAgent,
    server: node.services.dht.getMode() === 'server',
    table: [...node.services.dht.routingTable.kb.toIterable()].map((peer) => peer.peerId.toString())
  }))))
}, 1000)
