//go:build !linux

package mainline

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

const oobSize = 0

func listen(context.Context, uint16) (*net.UDPConn, error) {
	return nil, errors.New("run local Mainline network: it needs Linux, where all of 127.0.0.0/8 is loopback")
}

func listen6(ctx context.Context, port uint16) (*net.UDPConn, error) { return listen(ctx, port) }

type origin struct{}

func newOrigin() origin { return origin{} }

func (origin) from(netip.Addr) []byte { return nil }

func destination([]byte) (netip.Addr, bool) { return netip.Addr{}, false }
