//go:build !linux

package ipfs

import "errors"

type silentSockets struct{}

func listenSilently(uint16) (*silentSockets, error) {
	return nil, errors.New("run local IPFS network: it needs Linux, where all of 127.0.0.0/8 is loopback")
}

func (*silentSockets) Close() error { return nil }
