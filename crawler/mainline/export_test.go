package mainline

import "net"

// Wrapped returns cfg with something around the sockets of our own nodes.
func (c Config) Wrapped(wrap func(net.PacketConn) net.PacketConn) Config {
	c.wrap = wrap
	return c
}
