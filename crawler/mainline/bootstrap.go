package mainline

// DefaultBootstrap lists the entry points that BitTorrent clients ship with.
func DefaultBootstrap() []string {
	return []string{
		"router.bittorrent.com:6881", "router.utorrent.com:6881", "dht.transmissionbt.com:6881",
		"dht.libtorrent.org:25401", "dht.aelitis.com:6881",
	}
}
